"""A trained network to one whose runs of equal blocks are few bodies that loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldnet.converting.blocks import EqualRun, calls_of, equal_runs, similarity_of
from foldnet.converting.bodies import fit_bodies, tie_segments
from foldnet.converting.segments import cut_run
from foldnet.errors import NothingToFold, SettingError
from foldnet.folding.calling import Inputs, batches_of, inputs_of
from foldnet.folding.feeding import unfed
from foldnet.folding.recalibrate import recalibrate
from foldnet.folding.structures import structures_of
from foldnet.sharing.plan import ROOT, Group, SharingPlan, plan_sharing
from foldnet.sharing.share import Bank, SharedNetwork
from foldnet.sharing.tied import TiedLayers
from foldnet.training.observer import Observer

IMAGES = 4096  # on which batch norm is estimated anew


@dataclass(frozen=True, slots=True)
class ConvertedRun:
    """A run of equal blocks of one sequence, and the segments of it, each of which became one body."""

    sequence: str
    segments: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Loops:
    """The tied network, in which the blocks of a segment have the same weights, the runs that were cut, and the error
    of the last step in which bodies were fitted, None where they were not: the share of what blocks change that is
    wrong.
    """

    tied: SharedNetwork
    runs: tuple[ConvertedRun, ...]
    error: float | None


def to_loops(
    trained: nn.Module,
    loops: int,
    batches: Iterable[Any],
    *,
    start: str = "average",
    fit: int = 400,
    observer: Observer | None = None,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Loops:
    """Cut every run of more than `loops` equal blocks into that many segments or fewer, by how alike what the blocks do
    is on the first of the batches, give each segment one body, and fit these for so many steps. The network is left as
    it was, in evaluation mode; batch norm of the tied one is estimated anew.

    Raises SettingError where no run has more blocks than `loops`, or for what it cannot be run on, NothingToFold where
    no two blocks that follow each other are equal, or none that are feed each other.
    """
    plan = plan_sharing(trained)
    runs = equal_runs(trained, plan, structures_of(trained, plan))
    cut = [run for run in runs if len(run.blocks) > loops]
    if not cut:
        longest = max(runs, key=lambda run: len(run.blocks))
        count = len(longest.blocks)
        raise SettingError(
            f"`loops={loops}` is not below the {count} equal blocks of '{longest.sequence or ROOT}', the most that "
            f"follow each other; give at most {count - 1}"
        )
    trained.eval()
    given = first_of(batches)
    calls = calls_of(trained, [block for run in cut for block in run.blocks], given)
    fed = _fed(trained, cut, given)
    cuts = {run: cut_run(similarity_of(trained, run, calls), loops) for run in fed}
    tied = tie_segments(trained, plan, cuts, start)
    blocks = [b for run, its in cuts.items() for first, end in its if end - first > 1 for b in run.blocks[first:end]]
    error = fit_bodies(tied, trained, blocks, batches, fit, observer, autocast) if fit else None
    if any(isinstance(module, _BatchNorm) for module in tied.modules()):
        recalibrate(tied, batches, images=IMAGES)
    found = [
        ConvertedRun(run.sequence or ROOT, tuple(run.blocks[first:end] for first, end in segments))
        for run, segments in cuts.items()
    ]
    return Loops(tied.eval(), tuple(found), error)


def _fed(trained: nn.Module, runs: list[EqualRun], given: Inputs) -> list[EqualRun]:
    """The runs whose blocks are seen to feed each other. Raises NothingToFold where there are none."""
    faults = {run: unfed(trained, run.sequence, run.blocks, given) for run in runs}
    found = [run for run, fault in faults.items() if fault is None]
    for fault in faults.values() if not found else ():
        assert fault is not None
        both = " and ".join(f"'{name}'" for name in fault.blocks)
        raise NothingToFold(f"the blocks {both} are equal and cannot come to loop: {fault.reason}")
    return found


def first_of(batches: Iterable[Any]) -> Inputs:
    """What the network is called with for the first batch. Raises SettingError where there is none."""
    for batch in batches_of(batches):
        return inputs_of(batch)
    raise SettingError("there is no batch to compare blocks on; give a list of x or (x, y), or a loader of them")


def as_soft(tied: SharedNetwork) -> SharedNetwork:
    """A soft network that computes what a tied one does: its templates are the owners, and each layer's coefficients
    its gain at the place of its owner. So folding it at a threshold of 1 gives the tied one back. Raises SettingError
    for residuals, which no template holds."""
    groups: list[Group] = []
    sources: dict[str, nn.Module] = {}
    for group in tied.plan.groups:
        source = tied.sources[group.name]
        assert isinstance(source, TiedLayers)
        if source.rows:
            raise SettingError(f"layers of group '{group.name}' keep residuals, and a soft network has none")
        owners = source.stored.owner_weights()
        bank = Bank(len(group.layers), len(owners), group.shape).to(owners[0])
        with torch.no_grad():
            bank.templates.copy_(torch.stack(owners).movedim(2, -1))
            bank.coefficients.zero_()
            for row, (owner, gain) in enumerate(zip(source.assignment, source.gains, strict=True)):
                bank.coefficients[row, owner] = gain
        groups.append(replace(group, templates=len(owners)))
        sources[group.name] = bank
    return SharedNetwork(copy.deepcopy(tied.network), SharingPlan(tuple(groups), tied.plan.private), sources)
