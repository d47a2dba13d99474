"""What a fold's report states besides sizes, weights and gains: made again where that can be, else held to bounds and
to plain text."""

import copy
import math
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.choosing.choose import reason_of
from foldnet.choosing.laboratory import Laboratory
from foldnet.data.tasks import Task
from foldnet.errors import BrokenPromise
from foldnet.folding.folds import Fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.program.loops import greedy_stages
from foldnet.proof.compare import LIMIT
from foldnet.proof.fold_report import FoldReport
from foldnet.proof.promises import Findings, Promise, equal
from foldnet.proof.prove import check_fold
from foldnet.proof.refold import Refold
from foldnet.store.codec import to_plain
from foldnet.training.observer import Observer

Scores = Mapping[str, float | None]  # by form, None where not measured

POINTS = 0.002  # that an accuracy may be off: rounding turns a few of ten thousand images
CONTROL = "soft_finetuned"  # whose network is not kept
TUNED = ("finetuned", CONTROL)  # accuracies that only fine-tuning gives
LONGEST = 1000  # characters of a text other than the program
NAMES = ("fold", "run")  # of folders, which may be called anything
KINDS = ("test", "random")  # inputs that a fold is proven on
ALIKE = 10  # times that rounding may differ between machines


def check_claims(
    report: FoldReport, laboratory: Laboratory | None, refold: Refold | None, known: Scores, observer: Observer
) -> Findings:
    """Each accuracy that the report states is that of its network, within one example or 0.2 points; the same of the
    scores of a task that has none, within 0.2 %.

    `known` are scores on all test images that were measured already: of the `looped` form, which is the fold as it
    is, and of `soft`. What neither data nor run are there for is named.
    """
    stated, task = report.stated(), report.task
    if not stated:
        return Findings()
    if laboratory is None or known.get("looped") is None:
        note = f"the accuracies in report.json ({', '.join(stated)}) are not compared without all test images"
        return Findings(notes=(note,))
    measured = {"soft": known.get("soft"), "finetuned" if report.is_tuned else "recalibrated": known["looped"]}
    promises, unknown = [], []
    observer.begin("accuracies in report.json", len(stated))
    for name, value in stated.items():
        if name in TUNED and not report.is_tuned:
            promises.append(equal(f"accuracy of {name} in report.json, which tells of no fine-tuning", value, None))
        elif name == CONTROL:
            legal = 0 <= value <= 1 or not task.share
            promises.append(equal("accuracy of soft_finetuned in report.json from 0 to 1", legal, True))
        elif (score := _measured(name, laboratory, refold, measured)) is None:
            unknown.append(name)
        else:
            images = laboratory.validation.images if name == "validation" else laboratory.test.images
            promises.append(_alike(name, value, score, images, task))
        observer.advance()
    observer.end()
    if report.accuracy.images is not None:
        promises.append(equal("test images in report.json", report.accuracy.images, laboratory.test.images))
    notes = (f"the accuracies in report.json of {', '.join(unknown)} are not compared: their networks are not here",)
    control = "the accuracy in report.json of soft_finetuned, the control, is not compared: its network is not kept"
    return Findings(tuple(promises), notes if unknown else (), (control,) if CONTROL in stated else ())


def _measured(name: str, laboratory: Laboratory, refold: Refold | None, known: Scores) -> float | None:
    """A score as it was measured already, or of a network made again; None where its network is not here."""
    unsplit = name == "validation" and laboratory.split.validation is None
    if name in known or refold is None or unsplit:
        return known.get(name)
    model = copy.deepcopy(refold.soft.model if name == "soft_recalibrated" else refold.tied)
    if name != "tied":
        laboratory.recalibrated(model)
    return laboratory.score(model, laboratory.validation if name == "validation" else laboratory.test).value


def _alike(name: str, stated: float, measured: float, images: int, task: Task) -> Promise:
    """A score in the report is the measured one."""
    allowed = max(1 / images, POINTS) * (1 + 1e-9) * (1 if task.share else abs(measured))
    held = abs(stated - measured) <= allowed
    return Promise(f"accuracy of {name} in report.json", held, f"{stated:.4f}", f"{measured:.4f} within {allowed:.4f}")


def check_statements(report: FoldReport, fold: Fold, refold: Refold | None) -> Findings:
    """What was searched greedily, kept apart, and why these clusters, as the program and folding again say; what no run
    says is plain.

    What the report does not state is not compared: version 0.1 stated less, and wrote the whole path of its run.
    """
    again: dict[str, Any] = {"greedy": greedy_stages(fold.program)}
    reason = None
    if refold is not None:
        reason = reason_of(refold.soft.settings, fold.task)
        again |= {"kept_apart": refold.plan.kept_apart, "why": reason if reason is not None else report.why}
    wrong = ["run"] if report.run is not None and Path(report.run).name != fold.run else []
    wrong += [name for name, value in again.items() if getattr(report, name) not in (None, value)]
    shares = [layer.added_loss_share for layer in report.layers.values() if layer.added_loss_share is not None]
    promises = (
        equal("statements in report.json that are not those of folding again", ", ".join(wrong), ""),
        equal("texts in report.json that are long or hold what is not printed", ", ".join(_odd(to_plain(report))), ""),
        equal("shares of the added loss in report.json that are none", len(shares) if sum(shares) > 1 + 1e-6 else 0, 0),
    )
    unsure = ["the tied layers' shares of the added loss"] if shares else []
    unsure += ["the reason for the knee"] if refold is not None and reason is None else []
    said = f"{' and '.join(unsure)} in report.json cannot be made again: only bounds are checked"
    return Findings(promises, unmeasured=(said,) if unsure else ())


def check_proof(
    report: FoldReport, looped: LoopedNetwork, tied: nn.Module, fold: Fold, laboratory: Laboratory | None
) -> Findings:
    """Looped was run against tied on as many inputs of a kind as the report says, and differs no more than it does now,
    or than rounding."""
    proof = report.proof
    if proof is None:  # version 0.1 proved nothing
        return Findings()
    name, most, again = "proof in report.json", LIMIT, None
    if proof.inputs == "random" or laboratory is not None:
        own = laboratory if proof.inputs == "test" else None
        try:
            again = check_fold(looped, tied, fold, own, report.ignored)
        except BrokenPromise as error:
            return Findings((Promise(name, False, str(error), "a comparison of looped with tied"),))
        most = max(LIMIT, ALIKE * again.relative)
    wanted = f"{again.count if again else proof.count} test or random inputs, at most {most:.1g} apart"
    counted = proof.count == again.count if again else proof.count > 0
    held = proof.inputs in KINDS and counted and 0 <= proof.relative <= most
    return Findings((Promise(name, held, f"{proof.count} {proof.inputs} inputs, {proof.relative:.1g} apart", wanted),))


def _odd(value: Any, place: str = "") -> Iterator[str]:
    """The places in plain data of texts and names that are long, or would move a cursor or colour a terminal."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _odd(key, f"a name in {place or 'report'}")
            yield from _odd(entry, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for entry in value:
            yield from _odd(entry, place)
    elif isinstance(value, str) and place not in NAMES:
        plain, most = (value.replace("\n", ""), math.inf) if place == "program" else (value, LONGEST)
        if len(value) > most or any(unicodedata.category(letter).startswith("C") for letter in plain):
            yield place
