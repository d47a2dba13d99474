"""Blocks of a trained network at work: which runs of them are equal, what they are called with, and how alike what they
do is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from foldnet.analysis.similarity import Matrix
from foldnet.errors import NothingToFold, SettingError
from foldnet.folding.calling import Inputs, run_on
from foldnet.folding.structures import Structures, layers_in
from foldnet.sharing.plan import SharingPlan
from foldnet.sharing.sequences import joined


@dataclass(frozen=True, slots=True)
class EqualRun:
    """Blocks of one sequence that follow each other and are proven to compute the same but for their tensors; all of
    their layers share. `places` are these layers by their names inside a block."""

    sequence: str
    blocks: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a block: what it was given, and what it gave."""

    inputs: Inputs
    output: Any


def equal_runs(network: nn.Module, plan: SharingPlan, structures: Structures) -> tuple[EqualRun, ...]:
    """The runs of two and more equal blocks, each as long as it can be. Raises NothingToFold where there are none, with
    what keeps blocks apart."""
    shared = [layer for group in plan.groups for layer in group.layers]
    found = []
    for sequence, names in structures.sequences.items():
        run: list[str] = []
        for name in (*names, None):
            places = () if name is None else tuple(layers_in(name, network.get_submodule(name), shared))
            free = name is not None and bool(places) and all(joined(name, place) in shared for place in places)
            if run and (name is None or not free or structures.numbers[name] != structures.numbers[run[-1]]):
                found += [EqualRun(sequence, tuple(run), _places(network, run[0], shared))] if len(run) > 1 else []
                run = []
            run += [name] if name is not None and free else []
    if not found:
        why = next((f": '{entry.attribute}' differs, {entry.reason}" for entry in structures.kept_apart), "")
        raise NothingToFold(f"no two blocks that follow each other are equal, so that none can come to loop{why}")
    return tuple(found)


def _places(network: nn.Module, block: str, shared: Sequence[str]) -> tuple[str, ...]:
    """The layers in a block by their names there."""
    return tuple(layers_in(block, network.get_submodule(block), shared))


@contextmanager
def watched_calls(network: nn.Module, blocks: Sequence[str]) -> Iterator[dict[str, Call]]:
    """Passes of a network, after each of which the calls of these blocks are known; a block may write into what it is
    called with. Raises SettingError for a block that runs another number of times than once a pass."""
    found: dict[str, Call] = {}
    given: dict[str, Inputs] = {}

    def before(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            given[name] = cloned((args, options))

        return hook

    def after(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            found[name] = Call(given.pop(name), cloned(output))  # into which the next block may write

        return hook

    hooks: list[Any] = []
    for name in blocks:
        module = network.get_submodule(name)
        hooks.append(module.register_forward_pre_hook(before(name), with_kwargs=True))
        hooks.append(module.register_forward_hook(after(name)))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def cloned(values: Any) -> Any:
    """The same nest with tensors of its own."""
    return tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, values)


@torch.no_grad()
def calls_of(network: nn.Module, blocks: Sequence[str], inputs: Inputs) -> dict[str, Call]:
    """What the blocks are called with and give in one pass, by their names. Raises SettingError where the network
    cannot be run, or leaves a block out."""
    positional, options = inputs
    with watched_calls(network, blocks) as found, run_on(positional, options):
        network(*positional, **options)
    for name in blocks:
        if name not in found:
            raise SettingError(
                f"block '{name}' does not run when the network is called so; give inputs for which it does"
            )
    return dict(found)


@torch.no_grad()
def similarity_of(network: nn.Module, run: EqualRun, calls: Mapping[str, Call]) -> Matrix:
    """How alike what the n blocks of a run do is, (n, n): the mean cosine of their changes f(x) - x, each block run on
    what every block of the run is called with."""
    blocks = [network.get_submodule(name) for name in run.blocks]
    total = torch.zeros(len(blocks), len(blocks), dtype=torch.float64)
    for name in run.blocks:
        args, options = calls[name].inputs
        x = first_tensor((args, options))
        changes = []
        for block in blocks:
            given, own = cloned((args, options))
            after = first_tensor(block(*given, **own))
            change = after - x if x is not None and after.shape == x.shape else after
            changes.append(nn.functional.normalize(change.flatten(1).float(), dim=1))
        stacked = torch.stack(changes, dim=1)
        total += (stacked @ stacked.mT).mean(0).double().cpu()
    return np.asarray((total / len(blocks)).numpy())


def first_tensor(values: Any) -> Any:
    """The first tensor of floating-point numbers in a nest; None where there is none."""
    return next((x for x in tree_leaves(values) if isinstance(x, Tensor) and x.is_floating_point()), None)
