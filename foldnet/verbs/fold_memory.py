"""A fold as Python has it, and folding a soft network that is in memory and belongs to no run folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.choosing.advice import Advice, advise
from foldnet.choosing.choose import Choice, Soft, choose, soft_of
from foldnet.errors import SettingError
from foldnet.folding.calling import refuse_nan, run_on
from foldnet.folding.feeding import with_feeds
from foldnet.folding.looped import LoopedNetwork, loop_tied
from foldnet.folding.owners import only_calls_layers
from foldnet.folding.plan import FoldPlan, GroupFold, apply_fold, errors_of
from foldnet.folding.settings import FoldSettings
from foldnet.program.data import count_reuses
from foldnet.program.loops import greedy_stages
from foldnet.program.text import program_text
from foldnet.proof.fold_report import Accuracies, FoldReport, Sizes, TiedGroup, TiedLayer, Tuning
from foldnet.proof.prove import Proof, prove
from foldnet.sharing.sequences import weight_name
from foldnet.sharing.share import SharedNetwork
from foldnet.show.report import Report, Table, Text
from foldnet.store.tensors import file_bytes

# What these need is a run: validation images to choose by, training images to tune on, or a folder.
OF_A_RUN = ("max_drop", "budget", "finetune", "finetune_lr", "control", "threshold")  # the last one where it is auto
UNPROVEN = (
    "looped was not run against tied, and may compute something else; give `inputs`, what the network is called with"
)


@dataclass(frozen=True, slots=True)
class FoldedNetwork(Report):
    """A folded network: `looped`, which runs its program, the `tied` form that computes the same layer by layer, the
    `plan` behind both, and the `report`, which is what shows and what JSON holds. Both networks are on the CPU where a
    run was folded, and where the soft one is otherwise.
    """

    looped: LoopedNetwork
    tied: SharedNetwork
    plan: FoldPlan
    report: FoldReport

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.report.to_json()

    def parts(self) -> Iterable[Table | Text]:
        """The report's."""
        return self.report.parts()


def fold_in_memory(
    model: nn.Module, settings: FoldSettings, out: Path | str | None = None, inputs: Any = None
) -> FoldedNetwork:
    """Fold a soft network; `model` stays as it was, and batch norm as it is there.

    With `inputs`, a tensor or a tuple of what the network is called with, looped is run against tied; without, the
    report's `unproven` says that it was not. Raises NothingToFold for a network without shared groups, SettingError for
    settings that need a run and inputs that prove nothing, UnknownName, BrokenPromise where the two differ.
    """
    if out is not None:
        raise SettingError(
            f"`out={str(out)!r}` is for the fold of a run, and a network in memory belongs to none; leave it out and "
            f"keep `looped` of what is returned"
        )
    _refuse_of_a_run(settings)
    soft = soft_of(model, settings)
    choice = choose(soft)
    plan = soft.plan(choice.clusters)
    tied = apply_fold(soft.model, plan)
    errors = errors_of(soft.model, plan, tied)
    if inputs is not None:
        plan = with_feeds(plan, tied, given_as(inputs))
    looped = loop_tied(tied, plan.program)
    proof = None if inputs is None else _prove_on(inputs, looped, tied, settings.ignore)
    return FoldedNetwork(looped, tied, plan, report_of(soft, choice, plan, looped, errors, proof))


def report_of(
    soft: Soft,
    choice: Choice,
    plan: FoldPlan,
    looped: LoopedNetwork,
    errors: Mapping[str, float],
    proof: Proof | None,
    shares: Mapping[str, float] | None = None,
) -> FoldReport:
    """What a fold is, whatever becomes of it: nothing that a run, its data or a folder would add but the tied layers'
    shares of the added validation loss. `errors` are those of its layers as tied."""
    settings, advice = soft.settings, advise(soft, plan, choice)
    parameters, in_bytes = sizes_of(soft.model, looped)
    return FoldReport(
        **{field.name: getattr(advice, field.name) for field in fields(advice)},
        fold=None,
        run=None,
        threshold=choice.threshold,
        why=choice.why,
        validation_score=choice.point.score if choice.point is not None else None,
        metric=soft.metric,
        **{name: getattr(settings, name) for name in ("tie", "unit", "linkage", "checkpoint", "residual")},
        kept=settings.keep,
        ignored=settings.ignore,
        finetune=Tuning(settings.finetune, settings.finetune_lr, settings.distill),
        groups=tuple(_tied(group, advice, errors, shares) for group in plan.groups),
        program=program_text(plan.program),
        loops=plan.program.loops,
        reuses=count_reuses(plan.program),
        score=Accuracies(),
        greedy=greedy_stages(plan.program),
        parameters=parameters,
        bytes=in_bytes,
        kept_apart=plan.kept_apart,
        proof=proof,
        unproven=None if proof is not None or only_calls_layers(looped.network) else UNPROVEN,
    )


def _tied(
    group: GroupFold, advice: Advice, errors: Mapping[str, float], shares: Mapping[str, float] | None
) -> TiedGroup:
    """A group, its layers by their names."""
    tie = group.tie
    return TiedGroup(
        group.name,
        tuple(tuple(group.layers[row] for row in cluster) for cluster in group.clusters),
        group.owners,
        group.templates,
        group.stored,
        group.weight_numbers,
        tuple(
            TiedLayer(layer, int(owner), float(gain), errors[layer], None if shares is None else shares.get(layer, 0.0))
            for layer, owner, gain in zip(group.layers, tie.assignment, tie.gains, strict=True)
        ),
        None if advice.chance is None else advice.chance.groups.get(group.name),
        group.residual_numbers,
    )


def sizes_of(soft: SharedNetwork, looped: LoopedNetwork) -> tuple[Sizes, Sizes]:
    """Parameters and bytes of the soft, the dense and the looped form; the dense one is never written out."""
    weights: dict[str, torch.Tensor] = {}
    for group in soft.plan.groups:
        like = next(soft.sources[group.name].parameters())
        weights |= {weight_name(layer): like.new_empty(group.shape, device="meta") for layer in group.layers}
    numbers = [sum(parameter.numel() for parameter in form.parameters()) for form in (soft, soft.network, looped)]
    numbers[1] += sum(weight.numel() for weight in weights.values())
    states = soft.state_dict(), {**soft.network.state_dict(), **weights}, looped.state_dict()
    return Sizes(*numbers), Sizes(*map(file_bytes, states))


def given_as(inputs: Any) -> tuple[Any, ...]:
    """What the network is called with. Raises SettingError for numbers that are none."""
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    refuse_nan(given)
    return given


def _prove_on(inputs: Any, looped: LoopedNetwork, tied: SharedNetwork, ignored: Collection[str]) -> Proof:
    """Run looped against tied on what a user gave. Raises SettingError for inputs that prove nothing, BrokenPromise."""
    given = given_as(inputs)
    with run_on(given, {}):
        proof = prove(looped, tied, given, ignored)
    if not proof.count:
        raise SettingError("`inputs` hold no image, so that nothing is proven; give some, or leave `inputs` out")
    return proof


def _refuse_of_a_run(settings: FoldSettings) -> None:
    """Raise SettingError for settings that need a run."""
    for name in OF_A_RUN:
        value = getattr(settings, name)
        if value == "auto" or (name != "threshold" and value != getattr(FoldSettings(), name)):
            raise SettingError(
                f"`{name}={value!r}` needs the data of a run and a network in memory has none; "
                f"fold a run folder, or give a threshold or clusters"
            )
