"""Pictures of one fold: its graph, its stages beside their similarities, and the dial of its loops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.drawing.output import FIGURE_ENDINGS, FOLD, GRAPH_ENDINGS, Output
from foldnet.options import Option, plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from foldnet.drawing.fold_figure import FoldedStage
    from foldnet.program.data import Program, Stage


@dataclass(frozen=True, slots=True)
class Graph(Output):
    """Draw the folded network: owners as nodes, loops as arrows, colours by pass.

    By the file's ending: .svg, .png, .pdf (these need Graphviz's dot), .dot, .graphml or .json.
    """

    of, name, endings = FOLD, "graph.svg", GRAPH_ENDINGS
    residual: Annotated[bool, Option("Also draw the residual connections.")] = False

    def write(self, what: Path | nn.Module, file: Path, observer: Any) -> None:
        """Of a fold, or a looped network in memory. Raises NothingToFold for a network that does not loop, RunError,
        MissingTool."""
        from foldnet.drawing.dot import write_graph
        from foldnet.drawing.graph import program_graph
        from foldnet.folding.folds import Fold as Opened
        from foldnet.folding.folds import read_fold

        if isinstance(what, Path):
            fold, gains = read_fold(what, Opened.gains)
            program, title = fold.program, fold.arch
        else:
            program, gains = _of_network(what)
            title = "network"
        write_graph(program_graph(program, gains=gains, residual=self.residual), file, title)


def _of_network(network: nn.Module) -> tuple[Program, dict[str, float]]:
    """The program of a network in memory, and its gains by layer."""
    from foldnet.errors import NothingToFold
    from foldnet.folding.looped import LoopedNetwork, gain_slots

    if not isinstance(network, LoopedNetwork):
        raise NothingToFold(
            "the network does not loop, so there are no loops to draw; fold it first with `foldnet.fold`"
        )
    return network.program, {layer: gain[step].item() for gain, step, layer in gain_slots(network)}


@dataclass(frozen=True, slots=True)
class Fold(Output):
    """Draw each stage's layers, its similarity matrix and the folded stage side by side (the paper's Figure 4)."""

    of, name, endings = FOLD, "fold.svg", FIGURE_ENDINGS
    run: Annotated[Path | str | None, Option()] = None

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """Raises RunError where the run is gone or has other weights by now."""
        from foldnet.drawing.figures import write_figure
        from foldnet.drawing.fold_figure import fold_figure
        from foldnet.folding.folds import open_fold
        from foldnet.folding.groups import check_metric, groups_of
        from foldnet.folding.opening import soft_of_fold
        from foldnet.proof.fold_report import read_fold_report

        fold = open_fold(what)
        model = soft_of_fold(fold, self.run)
        metric = check_metric(read_fold_report(fold).metric, model)
        matrices = {entry.group.name: (entry.group.layers, entry.similarity(metric)) for entry in groups_of(model)}
        stages = [_folded_stage(stage, matrices) for stage in fold.program.stages]
        write_figure(fold_figure(stages, f"{fold.arch}, similarity by {metric}"), file)


def _folded_stage(stage: Stage, matrices: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]) -> FoldedStage:
    """The stage's shared layers in order; layers of two groups have no similarity and stand at 0."""
    import numpy as np

    from foldnet.drawing.fold_figure import FoldedStage

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


@dataclass(frozen=True, slots=True)
class Depth(Output):
    """Measure and draw test accuracy against the trips through each loop."""

    of, name, endings, watched = FOLD, "depth.svg", FIGURE_ENDINGS, True
    most: Annotated[int | None, Option("Most trips to try.  [default: twice what was found]")] = None
    run: Annotated[Path | str | None, Option()] = None
    data_dir: Annotated[Path | None, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def write(self, what: Path, file: Path, observer: Any) -> Any:
        """The report that was drawn. Raises what `depth` raises."""
        from foldnet.drawing.curves import depth_figure
        from foldnet.drawing.figures import write_figure
        from foldnet.verbs.depth import depth

        report = depth(what, **plain(self), observer=observer)
        curves = {
            loop.name: {
                name.replace("accuracy", "as folded").replace("_", " "): curve for name, curve in loop.curves().items()
            }
            for loop in report.loops
        }
        task, found = report.task, {loop.name: loop.found for loop in report.loops}
        figure = depth_figure(curves, report.arch, found=found, measure=task.measure, percent=task.share)
        write_figure(figure, file)
        return report
