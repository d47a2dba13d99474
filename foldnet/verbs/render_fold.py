"""foldnet render fold, sweep and depth: what a fold is, what it was picked from, and how deep its loops may run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldnet.choosing.sweep_file import SWEEP_FILE, read_sweep
from foldnet.drawing.depth_figure import depth_figure
from foldnet.drawing.figures import write_figure
from foldnet.drawing.fold_figure import fold_figure
from foldnet.drawing.sweep_figure import sweep_figure
from foldnet.errors import RunError
from foldnet.folding.folds import open_fold
from foldnet.folding.groups import check_metric, groups_of
from foldnet.folding.opening import fold_folder
from foldnet.folding.origin import soft_of_fold
from foldnet.program.data import Stage
from foldnet.store.reading import read_json
from foldnet.training.runs import newest_run, open_run
from foldnet.verbs.depth import DepthReport
from foldnet.verbs.render import target_of

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FoldedStage:
    """A stage of the program with the similarity by which its layers were tied: matrix (L, L), clusters of indices."""

    stage: Stage
    layers: tuple[str, ...]
    matrix: Matrix
    clusters: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point of a sweep as sweep.json holds it."""

    accuracy: float
    stored_numbers: int
    loops: int


def draw_fold(
    path: Path | str | None = None,
    out: Path | str | None = None,
    *,
    run: Path | str | None = None,
    force: bool = False,
) -> Path:
    """Draw the paper's Figure 4 for a fold: each stage's layers, its similarity matrix, and the folded stage.

    Default: fold.svg in the newest fold of the newest run. `run` names the run of a fold that does not lie
    inside it. Returns the file. Raises RunError where the run is gone or has other weights by now, OutputError, SettingError.
    """
    folder = fold_folder(path)
    fold = open_fold(folder)
    target = target_of(out, folder / "fold.svg", force)
    model = soft_of_fold(fold, run)
    metric = check_metric(str(read_json(folder / "report.json").get("metric", "coefficients")), model)
    matrices = {entry.group.name: (entry.group.layers, entry.similarity(metric)) for entry in groups_of(model)}
    stages = [_folded_stage(stage, matrices) for stage in fold.program.stages]
    write_figure(fold_figure(stages, f"{fold.arch}, similarity by {metric}"), target)
    return target


def draw_sweep(path: Path | str | None = None, out: Path | str | None = None, *, force: bool = False) -> Path:
    """Draw the curve that `foldnet fold --sweep` wrote (default: sweep.svg in the newest run). Returns the file.

    Raises RunError where there is no curve yet, OutputError, SettingError.
    """
    run = open_run(Path(path) if path is not None else newest_run())
    if not (run.folder / SWEEP_FILE).is_file():
        raise RunError(f"run '{run.folder}' has no {SWEEP_FILE}; make it with `foldnet.sweep({str(run.folder)!r})`")
    target = target_of(out, run.folder / "sweep.svg", force)
    content = read_sweep(run)
    try:
        units = {unit: [_point(point) for point in points] for unit, points in content["units"].items()}
        soft, dense = float(content["accuracy"]["soft"]), int(content["dense_numbers"])
        measure = str(content.get("measure", "accuracy"))
        images = int(content["images"]) if measure == "accuracy" else None  # F1 is no share of images
        knees = {unit: units[unit][int(knee["point"])] for unit, knee in content["knee"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RunError(f"'{run.folder / SWEEP_FILE}' is not a sweep ({error!r}); make it again") from None
    figure = sweep_figure(units, soft, run.settings.arch, knees, dense=dense, measure=measure, images=images)
    write_figure(figure, target)
    return target


def draw_depth(report: DepthReport, out: Path | str | None = None, *, force: bool = False) -> Path:
    """Draw accuracy against trips (default: depth.svg in the fold). Returns the file. Raises OutputError, SettingError."""
    target = target_of(out, Path(report.fold) / "depth.svg", force)
    figure = depth_figure(
        {loop["name"]: _series(loop) for loop in report.to_json()["loops"]},
        report.arch,
        found={loop.name: loop.found for loop in report.loops},
        measure=report.measure,
    )
    write_figure(figure, target)
    return target


def _series(loop: dict[str, Any]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Whatever was measured of a loop, trip by trip, by the name that a legend gives it."""
    return {
        "as folded" if name == "accuracy" else name.replace("_", " "): tuple(
            (point["steps"], point["accuracy"]) for point in points
        )
        for name, points in loop.items()
        if isinstance(points, list)
    }


def _folded_stage(stage: Stage, matrices: dict[str, tuple[tuple[str, ...], Matrix]]) -> FoldedStage:
    """The stage's shared layers in order; layers of two groups have no similarity and stand at 0."""
    uses = [use for block in stage.blocks for use in block.uses if use.group is not None]
    matrix = np.eye(len(uses))
    for i, first in enumerate(uses):
        for j, second in enumerate(uses):
            if first.group == second.group and first.group is not None:
                layers, similarity = matrices[first.group]
                matrix[i, j] = similarity[layers.index(first.layer), layers.index(second.layer)]
    owners = [(use.group, use.owner) for use in uses]
    clusters = (tuple(i for i, own in enumerate(owners) if own == owner) for owner in dict.fromkeys(owners))
    return FoldedStage(stage, tuple(use.layer for use in uses), matrix, tuple(clusters))


def _point(value: dict[str, Any]) -> StoredPoint:
    """A point from plain data."""
    return StoredPoint(float(value["accuracy"]), int(value["stored_numbers"]), int(value["loops"]))
