"""Each stage's layers, its similarity matrix and the folded stage side by side, the paper's Figure 4."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.figures import write_figure
from foldnet.drawing.fold_figure import FoldedStage, fold_figure
from foldnet.folding.folds import open_fold
from foldnet.folding.groups import check_metric, groups_of
from foldnet.folding.origin import soft_of_fold
from foldnet.program.data import Stage
from foldnet.store.reading import read_json

Matrix = NDArray[np.float64]


def write(folder: Path, file: Path, *, run: Path | str | None) -> None:
    """Draw a fold; `run` names the run of one that does not lie inside it.

    Raises RunError where the run is gone or has other weights by now, OutputError.
    """
    fold = open_fold(folder)
    model = soft_of_fold(fold, run)
    metric = check_metric(str(read_json(folder / "report.json").get("metric", "coefficients")), model)
    matrices = {entry.group.name: (entry.group.layers, entry.similarity(metric)) for entry in groups_of(model)}
    stages = [_folded_stage(stage, matrices) for stage in fold.program.stages]
    write_figure(fold_figure(stages, f"{fold.arch}, similarity by {metric}"), file)


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
