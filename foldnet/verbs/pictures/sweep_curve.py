"""The curve of a sweep: accuracy against what is stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldnet.choosing.sweep_file import SWEEP_FILE, read_sweep
from foldnet.drawing.figures import write_figure
from foldnet.drawing.sweep_figure import sweep_figure
from foldnet.errors import RunError
from foldnet.training.runs import open_run


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point of a sweep as sweep.json holds it."""

    accuracy: float
    stored_numbers: int
    loops: int


def write(folder: Path, file: Path) -> None:
    """Draw what `foldnet fold --sweep` wrote into a run. Raises RunError where there is no curve yet, OutputError."""
    run = open_run(folder)
    if not (run.folder / SWEEP_FILE).is_file():
        raise RunError(f"run '{run.folder}' has no {SWEEP_FILE}; make it with `foldnet.sweep({str(run.folder)!r})`")
    content = read_sweep(run)
    try:
        units = {unit: [_point(point) for point in points] for unit, points in content["units"].items()}
        soft, dense = float(content["accuracy"]["soft"]), int(content["dense_numbers"])
        measure = str(content.get("measure", "accuracy"))
        images = int(content["images"]) if measure == "accuracy" else None  # F1 is no share of images
        knees = {unit: units[unit][int(knee["point"])] for unit, knee in content["knee"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RunError(f"'{run.folder / SWEEP_FILE}' is not a sweep ({error!r}); make it again") from None
    title = run.settings.arch
    write_figure(sweep_figure(units, soft, title, knees, dense=dense, measure=measure, images=images), file)


def _point(value: dict[str, Any]) -> StoredPoint:
    """A point from plain data."""
    return StoredPoint(float(value["accuracy"]), int(value["stored_numbers"]), int(value["loops"]))
