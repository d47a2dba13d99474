"""One body for the blocks of a segment: what it begins as, and how it is fitted to what its blocks give."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves

from foldnet.analysis.choices import STARTS
from foldnet.converting.blocks import Call, EqualRun, calls_of, cloned, first_tensor, watched_calls
from foldnet.converting.segments import Segment
from foldnet.errors import SettingError
from foldnet.folding.calling import Inputs, batches_of, inputs_of
from foldnet.options import check_choice
from foldnet.sharing.plan import SharingPlan
from foldnet.sharing.sequences import joined, weight_name
from foldnet.sharing.share import SharedNetwork
from foldnet.sharing.tied import Owners, TiedLayers
from foldnet.training.observer import Observer, Silent

RATE = 1e-3  # Adam's, falling to 0: the outputs that are fitted are scaled by how much blocks change their inputs
FITTING = "fitting bodies"


def tie_segments(
    trained: nn.Module, plan: SharingPlan, cuts: Mapping[EqualRun, Sequence[Segment]], start: str
) -> SharedNetwork:
    """The trained network with one weight for the layers at one place of the blocks of a segment: their average, or
    with "stepwise" the one of the block in its middle. Every other layer keeps its own, and all gains are 1.

    Raises SettingError for another start. Source of the two: Bae et al., https://arxiv.org/abs/2410.20672.
    """
    check_choice("start", start, STARTS)
    homes: dict[str, tuple[int, int, str]] = {}
    chosen: dict[tuple[int, int, str], str] = {}
    for number, (run, segments) in enumerate(cuts.items()):
        for at, (first, end) in enumerate(segments):
            for place in run.places:
                layers = [joined(block, place) for block in run.blocks[first:end]]
                homes.update(dict.fromkeys(layers, (number, at, place)))
                chosen[number, at, place] = layers[(len(layers) - 1) // 2]
    sources: dict[str, nn.Module] = {}
    for group in plan.groups:
        members: dict[object, list[str]] = {}
        for layer in group.layers:
            members.setdefault(homes.get(layer, layer), []).append(layer)
        owner = {layer: index for index, layers in enumerate(members.values()) for layer in layers}
        stored = Owners(len(members), None, group.shape)
        tied = TiedLayers(stored, tuple(owner[layer] for layer in group.layers))
        sources[group.name] = tied.to(trained.get_parameter(weight_name(group.layers[0])))
        with torch.no_grad():
            for (home, layers), weight in zip(members.items(), stored.owners or (), strict=True):
                taken = [chosen[home]] if start == "stepwise" and isinstance(home, tuple) else layers
                weights: list[Tensor] = [trained.get_parameter(weight_name(layer)) for layer in taken]
                weight.copy_(torch.stack(weights).mean(0))
    return SharedNetwork(copy.deepcopy(trained), plan, sources)


def fit_bodies(
    tied: SharedNetwork,
    trained: nn.Module,
    blocks: Sequence[str],
    batches: Iterable[Any],
    steps: int,
    observer: Observer | None = None,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> float:
    """Let the blocks of a tied network give what those of the trained one give, on what those are called with: so many
    steps of Adam, in place, on the mean squared error by the mean squared change that a block makes. Gains, norms and
    biases are each block's own. Returns that error in the last step.

    Batch norm normalises by each batch meanwhile; nothing else is as in training. Raises SettingError where there is no
    batch.
    """
    observer = observer or Silent()
    trained.eval()
    tied.eval()
    for name in blocks:
        for module in tied.network.get_submodule(name).modules():
            if isinstance(module, _BatchNorm):
                module.train()
    inside = [parameter for name in blocks for parameter in tied.network.get_submodule(name).parameters()]
    optimiser = torch.optim.Adam([*tied.sources.parameters(), *inside], lr=RATE)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / max(steps, 1))
    observer.begin(FITTING, steps)
    error = 0.0
    for inputs, _ in zip(_again_and_again(batches), range(steps), strict=False):
        with autocast():
            calls = calls_of(trained, blocks, inputs)
            loss = _apart(tied, blocks, calls, inputs)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        falling.step()
        error = loss.item()
        observer.advance()
    observer.end()
    tied.eval()
    return error


def _apart(tied: SharedNetwork, blocks: Sequence[str], calls: Mapping[str, Call], inputs: Inputs) -> Tensor:
    """The mean over blocks of their squared errors by the squared changes of the trained ones; each block of the tied
    network is called with what the trained one was called with, whatever the blocks before it give."""

    def instead(name: str) -> Any:
        return lambda module, args, options: cloned(calls[name].inputs)

    modules = {name: tied.network.get_submodule(name) for name in blocks}
    hooks = [one.register_forward_pre_hook(instead(name), with_kwargs=True) for name, one in modules.items()]
    try:
        with watched_calls(tied.network, blocks) as found:
            tied(*inputs[0], **inputs[1])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([_error(found[name].output, calls[name]) for name in blocks]).mean()


def _error(output: Any, call: Call) -> Tensor:
    """One block's."""
    x, given, wanted = first_tensor(call.inputs), _floats(output), _floats(call.output)
    missing = torch.stack([(a.float() - b.float()).square().mean() for a, b in zip(given, wanted, strict=True)]).sum()
    change = wanted[0].float() - x.float() if x is not None and x.shape == wanted[0].shape else wanted[0].float()
    return missing / change.square().mean().clamp_min(torch.finfo(torch.float32).tiny)


def _floats(values: Any) -> list[Tensor]:
    """The tensors of floating-point numbers in a nest."""
    return [x for x in tree_leaves(values) if isinstance(x, Tensor) and x.is_floating_point()]


def _again_and_again(batches: Iterable[Any]) -> Iterator[Inputs]:
    """What the network is called with, batch by batch, from the beginning again at the end."""
    while True:
        seen = 0
        for batch in batches_of(batches):
            seen += 1
            yield inputs_of(batch)
        if not seen:
            raise SettingError(
                "there is no batch left to fit bodies on; give a list of x or (x, y), or a loader of them"
            )
