"""Folding a run's checkpoint again by the clusters of a fold, and comparing the fold with what that gives."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldnet.analysis.clusters import Clusters
from foldnet.choosing.advice import advise
from foldnet.choosing.choose import Choice, Soft, choose, soft_of
from foldnet.choosing.laboratory import Laboratory
from foldnet.folding.feeding import with_feeds
from foldnet.folding.folds import Fold
from foldnet.folding.plan import FoldPlan, apply_fold, errors_of
from foldnet.folding.recalibrate import statistics_of
from foldnet.folding.settings import FoldSettings
from foldnet.program.text import program_text
from foldnet.proof.fold_report import FoldReport
from foldnet.proof.promises import Findings, Promise, at_most, check_distances, distance, equal, largest, owners_of
from foldnet.proof.prove import random_inputs
from foldnet.sharing.sequences import weight_name
from foldnet.sharing.share import SharedNetwork
from foldnet.store.codec import to_plain

TIE_LIMIT = 1e-5  # relative difference of a tied weight from that of folding again: another machine's rounding
NORM_LIMIT = 0.01  # of a norm's standard deviation: training in bf16 moves its statistics by half of that
STRANGE = 0.1  # cosine to the tied network below which a fine-tuned weight no longer shows where it started


@dataclass(frozen=True, slots=True)
class Refold:
    """A checkpoint folded again by the clusters of a fold: the plan, and the tied network with the checkpoint's own
    norms.

    `choice` is what the fold's settings choose, None where they did not choose by thresholds.
    """

    soft: Soft
    plan: FoldPlan
    tied: SharedNetwork
    choice: Choice | None


def fold_again(model: SharedNetwork, fold: Fold, settings: Mapping[str, Any]) -> Refold:
    """Tie the layers of a soft network as the fold's program says, in the way that its settings name.

    Raises FoldnetError, TypeError or ValueError where the settings are not legal, or name what the network has not.
    """
    soft = soft_of(model, FoldSettings(**settings))
    owners = owners_of(fold.program)
    plan = soft.plan({name: _clusters(owners.get(name, {}), layers) for name, layers in soft.layers.items()})
    choice = choose(soft) if soft.settings.chooser in ("threshold", "chance") else None
    tied = apply_fold(model, plan)
    return Refold(soft, with_feeds(plan, tied, random_inputs(tied, fold)), tied, choice)


def check_refold(refold: Refold, fold: Fold, tied: nn.Module, report: FoldReport) -> Findings:
    """The fold's program, choice, gains and weights are those of folding again; `tied` is the fold, written out."""
    ours, theirs = fold.program, refold.plan.program
    promises = [
        Promise("program of folding the checkpoint again", ours == theirs, program_text(ours), program_text(theirs)),
        *_check_choice(refold, report),
        _check_gains(refold, report),
        check_advice(refold.soft, refold.plan, refold.choice, report),
        _check_ranks(refold, fold),
    ]
    found = _check_tuned(refold, tied) if report.is_tuned else _check_untouched(refold, tied, report)
    return Findings(tuple(promises)) + found


def check_norms(tied: nn.Module, soft: SharedNetwork | None, laboratory: Laboratory | None, expected: bool) -> Findings:
    """Running statistics are those that the fold's own weights have on the run's training images.

    Without `expected` they may also be the checkpoint's, as folding without data leaves them.
    """
    stored = _statistics(tied)
    if not stored:
        return Findings()
    name = "norms as the checkpoint has them, or as the training images give them"
    before = {} if soft is None or expected else _statistics(soft.network)
    if before.keys() == stored.keys() and all(torch.equal(stored[key][0], its) for key, (its, _) in before.items()):
        return Findings((Promise(name, True, "the checkpoint's", "the checkpoint's"),))
    if laboratory is None or (soft is None and not expected):
        lacking = "data" if laboratory is None else "checkpoint"
        return Findings(notes=(f"batch norm cannot be compared without the run's {lacking}",))
    again = _statistics(laboratory.recalibrated(copy.deepcopy(tied)).cpu())
    worst = largest(_apart_by(stored[key][0], *its) for key, its in again.items())
    return Findings((at_most("norms against the training images, in standard deviations", worst, NORM_LIMIT),))


def _clusters(owners: Mapping[str, int], layers: tuple[str, ...]) -> Clusters:
    """Rows of the layers that use one owner; a layer that the program does not know stands alone."""
    groups: dict[object, list[int]] = {}
    for row, layer in enumerate(layers):
        groups.setdefault(owners.get(layer, layer), []).append(row)
    return tuple(tuple(rows) for rows in groups.values())


def _check_choice(refold: Refold, report: FoldReport) -> list[Promise]:
    """Thresholds choose the clusters that were tied, and report.json names them, and the metric."""
    metric = equal("metric in report.json", report.metric, refold.soft.metric)
    if refold.choice is None:
        return [metric]
    chosen, threshold, wrong = refold.choice.clusters, refold.choice.threshold, []
    for group in refold.plan.groups:
        apart = tuple((row,) for row in range(len(group.layers)))
        if sorted(map(sorted, chosen.get(group.name) or apart)) != sorted(map(sorted, group.clusters)):
            wrong.append(group.name)
    return [
        metric,
        equal("groups whose clusters are not those at the threshold", ", ".join(wrong), ""),
        Promise("threshold in report.json", close(report.threshold, threshold), str(report.threshold), str(threshold)),
    ]


def _check_ranks(refold: Refold, fold: Fold) -> Promise:
    """No layer keeps a residual of a higher rank than was asked for; whether a cluster that is nearly exact keeps any
    is rounding."""
    asked = refold.soft.settings.residual
    wrong = [group.name for group in fold.groups if max(group.ranks, default=0) > asked]
    return equal(f"groups with residuals of a rank above {asked}", ", ".join(wrong), "")


def _check_gains(refold: Refold, report: FoldReport) -> Promise:
    """Gains and errors in report.json are those of tying again."""
    groups = refold.plan.groups
    gains = {layer: gain for one in groups for layer, gain in zip(one.layers, map(float, one.tie.gains), strict=True)}
    errors = errors_of(refold.soft.model, refold.plan, refold.tied)
    apart = (
        distance(report, what, layer, value, max(abs(value), 1.0))
        for what, values in (("gain", gains), ("error", errors))
        for layer, value in values.items()
    )
    return at_most("gains and errors in report.json against tying again, difference", largest(apart), TIE_LIMIT)


def _check_untouched(refold: Refold, tied: nn.Module, report: FoldReport) -> Findings:
    """Nothing was trained: private tensors are the checkpoint's to the bit, and tied weights those of tying again."""
    shared = dict(refold.soft.model.shared_weights())
    before = dict(refold.soft.model.network.named_parameters())
    again = {name: weight.detach() for name, weight in refold.tied.shared_weights()}
    moved = [name for name, now in tied.named_parameters() if name in before and not torch.equal(before[name], now)]
    names = {layer: weight_name(layer) for group in refold.plan.groups for layer in group.layers}
    distances = {layer: _relative(tied.get_parameter(name), shared[name]) for layer, name in names.items()}
    worst = largest(_relative(tied.get_parameter(name), weight) for name, weight in again.items())
    return Findings(
        (
            equal("private tensors that are not the checkpoint's", _few(moved), ""),
            at_most("tied weights against folding again, relative difference", worst, TIE_LIMIT),
            check_distances(report, distances),
        )
    )


def _check_tuned(refold: Refold, tied: nn.Module) -> Findings:
    """Fine-tuning moved the weights, and from where they were tied; where they are now nobody can check but by
    accuracies."""
    before: dict[str, Tensor] = dict(refold.soft.model.network.named_parameters())
    before |= dict(refold.tied.shared_weights())
    now = dict(tied.named_parameters())
    moved = sum(not torch.allclose(now[name], value, rtol=1e-6, atol=0.0) for name, value in before.items())
    promise = Promise("tensors that fine-tuning moved", moved > 0, moved, "at least 1")
    strange = [name for name, value in before.items() if value.dim() > 1 and _cosine(now[name], value) < STRANGE]
    if not strange:
        return Findings((promise,))
    note = f"nothing is left of {_few(strange)} as they were tied: fine-tuning cannot be told from other weights there"
    return Findings((promise,), (note,))


def _statistics(network: nn.Module) -> dict[str, tuple[Tensor, float]]:
    """(mean and variance (2, c), eps) of every batch norm that keeps statistics, by its name."""
    norms = {name: module for name, module in network.named_modules() if isinstance(module, _BatchNorm)}
    kept = {name: norm for name, norm in norms.items() if norm.running_mean is not None}
    return {name: (torch.stack(statistics_of(norm)).cpu(), norm.eps) for name, norm in kept.items()}


def _apart_by(stored: Tensor, again: Tensor, eps: float) -> float:
    """How far statistics (2, c) are from others, in the others' standard deviations, at the worst channel."""
    (mean, variance), (wanted, spread) = stored.double(), again.double()
    deviation = (spread + eps).sqrt()
    by_spread = ((variance + eps).sqrt() / deviation - 1).abs()
    return float(torch.maximum((mean - wanted).abs() / deviation, by_spread).max())


def _relative(found: Tensor, wanted: Tensor) -> float:
    """||found - wanted|| / ||wanted||, in float64."""
    expected = wanted.detach().double()
    missing, length = float((found.detach().double() - expected).norm()), float(expected.norm())
    return missing / length if length else float(missing > 0)


def _cosine(one: Tensor, other: Tensor) -> float:
    """The cosine of two weights; 1 where both are zero."""
    first, second = one.detach().double().flatten(), other.detach().double().flatten()
    lengths = float(first.norm() * second.norm())
    return float(first @ second) / lengths if lengths else float(float(first.norm()) == float(second.norm()))


def _few(names: list[str]) -> str:
    """The first three of some names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


ROUNDING = 1e-6  # between machines, of similarities and of shares of untrained networks


def check_advice(soft: Soft, plan: FoldPlan, choice: Choice | None, report: FoldReport) -> Promise:
    """The report names the shares of untrained networks that merge as much, near misses and the first merge as they
    are.

    Version 0.1 stated none of it; `choice` is None where the clusters were not chosen by thresholds.
    """
    wrong: list[str] = []
    if report.chance is not None:
        clusters = {group.name: group.clusters for group in plan.groups}
        advice = advise(soft, plan, choice or Choice(clusters, None, "", None))
        stated = to_plain(report)
        wrong = [name for name, value in to_plain(advice).items() if not close(stated[name], value)]
        shares = {group.name: group.chance for group in report.groups}
        assert advice.chance is not None
        again = advice.chance.groups
        wrong += [f"chance of {name}" for name in clusters if not close(shares.get(name), again.get(name))]
    return equal("advice in report.json that is not that of folding again", ", ".join(wrong), "")


def close(stated: Any, wanted: Any) -> bool:
    """Whether plain data are the same, their numbers but for rounding."""
    if isinstance(wanted, dict) and isinstance(stated, dict):
        return stated.keys() == wanted.keys() and all(close(stated[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(stated, list):
        return len(stated) == len(wanted) and all(map(close, stated, wanted))
    if isinstance(wanted, float | int) and isinstance(stated, float | int):
        return abs(stated - wanted) <= ROUNDING
    return type(stated) is type(wanted) and bool(stated == wanted)
