"""Folding a soft network that is in memory and belongs to no run folder."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.choosing.advice import advise
from foldnet.choosing.choose import Choice, Soft, choose, soft_of
from foldnet.errors import SettingError
from foldnet.folding.calling import refuse_nan, run_on
from foldnet.folding.groups import groups_of
from foldnet.folding.looped import LoopedNetwork, loop_tied
from foldnet.folding.plan import FoldPlan, apply_fold, choose_clusters, plan_fold, soft_network
from foldnet.folding.settings import FoldSettings
from foldnet.folding.structures import structures_of
from foldnet.program.data import count_reuses
from foldnet.program.loops import greedy_stages
from foldnet.program.text import program_text
from foldnet.proof.prove import Proof, prove
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.store.tensors import file_bytes
from foldnet.typed import checked
from foldnet.verbs.fold_report import Accuracies, FoldReport, Sizes

# What these need is a run: validation images to choose by, training images to tune on, or a folder.
OF_A_RUN = ("max_drop", "budget", "finetune", "finetune_lr", "control")


def fold_in_memory(
    model: nn.Module, settings: FoldSettings, out: Path | str | None = None, inputs: Any = None
) -> FoldReport:
    """Fold a soft network; the report's `network` is the looped one. `model` stays as it was, and batch norm as it is
    there.

    With `inputs`, a tensor or a tuple of what the network is called with, looped is run against tied; without, the
    report's `unproven` says that it was not. Raises NothingToFold for a network without shared groups, SettingError for
    settings that need a run, UnknownName, BrokenPromise where the two differ.
    """
    if out is not None:
        raise SettingError(
            f"`out={str(out)!r}` is for the fold of a run, and a network in memory belongs to none; leave "
            "it out and keep the "
            f"report's `network`"
        )
    _check(settings)
    soft = soft_of(model, settings)
    choice = choose(soft)
    plan = soft.plan(choice.clusters)
    tied = apply_fold(soft.model, plan)
    looped = loop_tied(tied, plan.program)
    return report_of(soft, choice, plan, looped, _prove_on(inputs, looped, tied, plan, settings.ignore))


def report_of(soft: Soft, choice: Choice, plan: FoldPlan, looped: LoopedNetwork, proof: Proof | None) -> FoldReport:
    """What a fold is, whatever becomes of it: nothing that a run, its data or a folder would add."""
    parameters, in_bytes = sizes_of(soft.model, looped)
    return FoldReport(
        fold=None,
        run=None,
        threshold=choice.threshold,
        why=choice.why,
        validation_score=choice.point.score if choice.point is not None else None,
        settings=soft.settings,
        metric=soft.metric,
        groups=plan.groups,
        shares=None,
        program=program_text(plan.program),
        loops=plan.program.loops,
        reuses=count_reuses(plan.program),
        advice=advise(soft, plan, choice),
        score=Accuracies(),
        greedy=greedy_stages(plan.program),
        parameters=parameters,
        bytes=in_bytes,
        kept_apart=plan.kept_apart,
        proof=proof,
        network=looped,
    )


def sizes_of(soft: SharedNetwork, looped: LoopedNetwork) -> tuple[Sizes, Sizes]:
    """Parameters and bytes of the soft, the dense and the looped form; the dense one is never written out."""
    with torch.device("meta"):
        dense = materialise(copy.deepcopy(soft).to("meta"))
    forms = (soft, dense, looped)
    return (
        Sizes(*(sum(parameter.numel() for parameter in form.parameters()) for form in forms)),
        Sizes(*(file_bytes(form.state_dict()) for form in forms)),
    )


@checked
def fold_network(
    model: nn.Module,
    threshold: float | Mapping[str, float] = 0.95,
    *,
    metric: str = "coefficients",
    unit: str = "layer",
    linkage: str = "complete",
    how: str = "gain",
    ignore: Collection[str] = (),
    inputs: Any = None,
) -> tuple[LoopedNetwork, SharedNetwork, FoldPlan]:
    """Fold a soft network in memory: the looped form, the tied form that it equals, and the plan behind both.

    `threshold` is one number or one a group. Blocks are merged only where they are proven to compute the same;
    attributes named in `ignore` are not looked at, and the plan's `kept_apart` says what kept others apart. With
    `inputs`, a tensor or a tuple of what the network is called with, the looped network is run against the tied one;
    without, nothing is run, and what a forward does with its layers beyond calling them, such as what depends on a
    module's class, is not known to be the same. Batch norm is left as it was; see recalibrate. Raises NothingToFold for
    a network without shared groups, SettingError and UnknownName for bad options, BrokenPromise where the two differ on
    the inputs.
    """
    soft = soft_network(model)
    algebra = groups_of(soft)
    thresholds = (
        dict(threshold) if isinstance(threshold, Mapping) else {entry.group.name: threshold for entry in algebra}
    )
    structures = structures_of(soft.network, soft.plan, ignore)
    clusters = choose_clusters(
        soft, algebra, thresholds, metric=metric, unit=unit, linkage=linkage, structures=structures
    )
    plan = plan_fold(soft, algebra, clusters, how, structures)
    tied = apply_fold(soft, plan)
    looped = loop_tied(tied, plan.program)
    _prove_on(inputs, looped, tied, plan, ignore)
    return looped, tied, plan


def _prove_on(
    inputs: Any, looped: LoopedNetwork, tied: SharedNetwork, plan: FoldPlan, ignored: Collection[str]
) -> Proof | None:
    """Run looped against tied on what a user gave, if anything. Raises SettingError for inputs that prove nothing,
    BrokenPromise."""
    if inputs is None:
        return None
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    refuse_nan(given)
    with run_on(given, {}):
        proof = prove(looped, tied, plan.program, given, ignored=ignored)
    if not proof.count:
        raise SettingError("`inputs` hold no image, so that nothing is proven; give some, or leave `inputs` out")
    return proof


def _check(settings: FoldSettings) -> None:
    """Raise SettingError for settings that need a run."""
    usual = FoldSettings()
    asked: dict[str, Any] = {name: getattr(settings, name) for name in OF_A_RUN}
    if settings.threshold == "auto":
        asked["threshold"] = "auto"
    for name, value in asked.items():
        if value != getattr(usual, name):
            raise SettingError(
                f"`{name}={value!r}` needs the data of a run and a network in memory has none; "
                f"fold a run folder, or give a threshold or clusters"
            )
