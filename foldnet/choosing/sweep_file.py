"""sweep.json of a run: the curve as it was measured, so that choosing from it again measures nothing again."""

from typing import Any

from foldnet.choosing.choose import Soft
from foldnet.choosing.sweep import Curve, SweepPoint, counts_of
from foldnet.errors import FoldnetError, RunError
from foldnet.store.codec import Share, from_plain, read_json, to_plain
from foldnet.store.seals import SEAL, check_sealed
from foldnet.training.runs import Run

SWEEP_FILE = "sweep.json"
OTHERS = {  # what is said of an entry besides "another" and its name
    "checkpoint_sha256": "other weights",
    "split": "other validation images",
    "groups": "other groups",
    "kept": "other kept layers",
    "ignored": "other ignored attributes",
}


class OtherSweep(Exception):
    """The sweep in the run is another one; the text says in what."""


def made_of(run: Run, soft: Soft) -> dict[str, Any]:
    """What a sweep depends on: the weights, the validation images, and how layers were measured and tied."""
    settings = soft.settings
    return {
        "checkpoint": settings.checkpoint,
        "checkpoint_sha256": run.digest(settings.checkpoint),
        "split": run.split_hash,
        "metric": soft.metric,
        "tie": settings.tie,
        "linkage": settings.linkage,
        "residual": settings.residual,
        "groups": sorted(soft.chosen_groups()),
        "kept": sorted(soft.kept()),
        "ignored": sorted(settings.ignore),
    }


def read_sweep(run: Run) -> dict[str, Any]:
    """What the run's sweep.json says. Raises RunError where it is missing, no sweep, or changed after it was
    written."""
    file = run.folder / SWEEP_FILE
    content = read_json(file)
    if not isinstance(content, dict):
        raise RunError(f"'{file}' is not a sweep; make it again")
    if run.sealed or SEAL in content:  # version 0.1 sealed nothing
        check_sealed(content, file, "sweep")
    return _with_scores({name: value for name, value in content.items() if name != SEAL})


def _with_scores(content: dict[str, Any]) -> dict[str, Any]:
    """A sweep as it is written now: every score was an accuracy once, and had no other name."""
    units = content.get("units")
    if "score" in content or not isinstance(units, dict):
        return content
    named = {
        unit: [{"score": point.get("accuracy")} | point if isinstance(point, dict) else point for point in points]
        for unit, points in units.items()
        if isinstance(points, list)
    }
    return content | {"score": content.get("accuracy"), "units": units | named}


def kept_curve(run: Run, soft: Soft) -> Curve | None:
    """The curve of the settings' unit from the run's sweep.json; None where there is none.

    Raises OtherSweep where it is of other weights or settings, changed or damaged: what to do then is the caller's.
    """
    if not (run.folder / SWEEP_FILE).is_file():
        return None
    try:
        content = read_sweep(run)
    except RunError as error:
        raise OtherSweep(str(error).rpartition("; ")[0]) from None
    try:
        stated, now = content["of"], made_of(run, soft)
        for name, value in now.items():
            if (stated[name] if name != "residual" else stated.get(name, 0)) != value:  # older sweeps had none
                raise OtherSweep(f"{SWEEP_FILE} is of {OTHERS.get(name, f'another {name}')}")
        points = from_plain(tuple[SweepPoint, ...], content["units"][soft.settings.unit])
        score = from_plain(Share if run.task.share else float, content["score"]["soft"])
        counts = [counts_of(soft.plan(point.clusters)) for point in points]
    except (FoldnetError, KeyError, TypeError, ValueError) as error:
        raise OtherSweep(f"{SWEEP_FILE} cannot be used ({error})") from None
    if not points or any(to_plain(point) != to_plain(point) | its for point, its in zip(points, counts, strict=True)):
        raise OtherSweep(f"{SWEEP_FILE} does not say what its clusters give")
    return Curve(points, score, run.task)
