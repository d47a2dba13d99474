"""The accuracies that a fold's report.json states, against those measured."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from foldnet.choosing.laboratory import Laboratory
from foldnet.data.tasks import Task
from foldnet.proof.promises import Findings, Promise, equal, is_finetuned, stated_at
from foldnet.proof.refold import Refold
from foldnet.training.observer import Observer

POINTS = 0.002  # that an accuracy may be off: rounding turns a few of ten thousand images
CONTROL = "soft_finetuned"  # whose network is not kept
TUNED = ("finetuned", CONTROL)  # accuracies that only fine-tuning gives


def check_claims(
    report: Any,
    laboratory: Laboratory | None,
    refold: Refold | None,
    known: Mapping[str, float | None],
    task: Task,
    observer: Observer,
) -> Findings:
    """Each accuracy that the report states is that of its network, within one example or 0.2 points; the same of the
    scores of a `task` that has none, within 0.2 %.

    `known` are scores on all test images that were measured already: of the `looped` form, which is the fold as it
    is, and of `soft`. What neither data nor run are there for is named.
    """
    stated = _stated(report, task)
    if not stated:
        return Findings()
    if laboratory is None or known.get("looped") is None:
        return Findings(
            notes=(f"the accuracies in report.json ({', '.join(stated)}) are not compared without all test images",)
        )
    measures = _measures(report, laboratory, refold, known)
    promises, unknown = [], []
    observer.begin("accuracies in report.json", len(stated))
    for name, value in stated.items():
        if name in TUNED and not is_finetuned(report):
            promises.append(equal(f"accuracy of {name} in report.json, which tells of no fine-tuning", value, None))
        elif name in measures:
            images = laboratory.validation.images if name == "validation" else laboratory.test.images
            promises.append(_alike(name, value, measures[name](), images, task))
        elif name == CONTROL:
            legal = is_share(value) or not task.share
            promises.append(equal("accuracy of soft_finetuned in report.json from 0 to 1", legal, True))
        else:
            unknown.append(name)
        observer.advance()
    observer.end()
    accuracy = stated_at(report, "accuracy")
    if isinstance(accuracy, dict) and "images" in accuracy:
        promises.append(equal("test images in report.json", accuracy["images"], laboratory.test.images))
    notes = (f"the accuracies in report.json of {', '.join(unknown)} are not compared: their networks are not here",)
    control = "the accuracy in report.json of soft_finetuned, the control, is not compared: its network is not kept"
    return Findings(tuple(promises), notes if unknown else (), (control,) if CONTROL in stated else ())


def states_scores(report: Any, task: Task) -> bool:
    """Whether report.json states any score after recalibration, so that batch norm was estimated anew."""
    return bool(_stated(report, task).keys() & {"recalibrated", "finetuned"})


def _measures(
    report: Any, laboratory: Laboratory, refold: Refold | None, known: Mapping[str, float | None]
) -> dict[str, Callable[[], float]]:
    """How each score is had: as measured already, or of networks made again; only those that the report states are
    run."""
    tuned = is_finetuned(report)
    looped, soft = known.get("looped"), known.get("soft")
    assert looped is not None
    found: dict[str, Callable[[], float]] = {"finetuned" if tuned else "recalibrated": lambda: looped}
    if refold is None:
        return found
    before, tied = refold.soft.model, refold.tied
    if soft is not None:
        found["soft"] = lambda: soft

    def score(model: Any, anew: bool, loader: Any = None) -> float:
        own = copy.deepcopy(model)
        return laboratory.score(laboratory.recalibrated(own) if anew else own, loader or laboratory.test).value

    found["tied"] = lambda: score(tied, False)
    found["soft_recalibrated"] = lambda: score(before, True)
    if tuned:
        found["recalibrated"] = lambda: score(tied, True)
    if laboratory.split.validation is not None:
        found["validation"] = lambda: score(tied, True, laboratory.validation)
    return found


def is_share(value: Any) -> bool:
    """Whether a value is a number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _stated(report: Any, task: Task) -> dict[str, Any]:
    """The accuracies that a report states, by form, or what scores its task; that of a sweep's point is
    "validation"."""
    kind = "accuracy" if task.share else "score"
    forms = stated_at(report, kind)
    found = (forms if isinstance(forms, dict) else {}) | {"validation": stated_at(report, f"validation_{kind}")}
    return {name: value for name, value in found.items() if name != "images" and value is not None}


def _alike(name: str, stated: Any, measured: float, images: int, task: Task) -> Promise:
    """An accuracy in the report is the measured one."""
    allowed = max(1 / images, POINTS) * (1 + 1e-9) * (1 if task.share else abs(measured))
    number = isinstance(stated, int | float) and not isinstance(stated, bool)
    held = number and abs(stated - measured) <= allowed
    shown = f"{stated:.4f}" if number else repr(stated)
    return Promise(f"accuracy of {name} in report.json", held, shown, f"{measured:.4f} within {allowed:.4f}")
