"""Pictures of one network. Of a fold its graph, its stages beside their similarities, and the dial of its loops; of a
run who mixes what, similarity matrices and how they came to be, and the curve of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.drawing.output import (
    DOT_ENDINGS,
    FIGURE_ENDINGS,
    FOLD,
    GRAPH_ENDINGS,
    HISTORY_ENDINGS,
    LSM_ENDINGS,
    RUN,
    Output,
)
from foldnet.errors import NothingToFold, RunError
from foldnet.options import Option, plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from foldnet.drawing.fold_figure import FoldedStage
    from foldnet.program.data import Program, Stage
    from foldnet.verbs.lsm import LsmReport


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
        from foldnet.verbs.trips import depth

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


@dataclass(frozen=True, slots=True)
class Sharing(Output):
    """Draw who mixes what (the paper's Figure 1): layers, templates, coefficients as weighted edges."""

    of, name, endings = RUN, "sharing.svg", DOT_ENDINGS
    checkpoint: Annotated[str, Option()] = "last"

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """Raises RunError, NothingToFold for a plain run, MissingTool."""
        from foldnet.drawing.dot import write_dot
        from foldnet.drawing.sharing import SharedGroup, sharing_dot
        from foldnet.sharing.share import SharedNetwork, banks_of
        from foldnet.training.runs import open_run

        run = open_run(what)
        model, _ = run.load(self.checkpoint)
        if not isinstance(model, SharedNetwork):
            raise NothingToFold(
                f"run '{run.folder}' is plain, so nothing is shared; train a soft network such as swrn-28-2-4"
            )
        groups = [
            SharedGroup(group.name, group.layers, bank.coefficients.detach().double().numpy())
            for group, bank in zip(model.plan.groups, banks_of(model).values(), strict=True)
        ]
        write_dot(sharing_dot(groups, run.settings.arch), file)


@dataclass(frozen=True, slots=True)
class Lsm(Output):
    """Draw the layer similarity matrices (white is 1, as in the paper's Figure 2)."""

    of, name, endings = RUN, "lsm.svg", LSM_ENDINGS
    metric: Annotated[str | None, Option()] = None
    checkpoint: Annotated[str, Option()] = "last"

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """A figure, CSV, JSON, NPY or NPZ. Raises RunError, SettingError, NothingToFold."""
        from foldnet.verbs.lsm import lsm

        write_matrices(lsm(what, **plain(self)), file)


def write_matrices(report: LsmReport, file: Path) -> None:
    """The same of what was measured."""
    from foldnet.drawing.lsm_files import write_lsm

    title = f"{report.arch or 'network'}, {report.metric}, epoch {report.epoch}"
    write_lsm(report.groups, file, title=title, document=report.to_json())


@dataclass(frozen=True, slots=True)
class History(Output):
    """Draw how the layer similarity matrices came to be (the paper's Figure 8): `foldnet lsm --history`."""

    of, name, endings = RUN, "history.svg", HISTORY_ENDINGS

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """A figure, NPY or NPZ. Raises RunError."""
        from foldnet.drawing.lsm_files import write_history
        from foldnet.training.runs import open_run
        from foldnet.verbs.lsm import lsm_history

        write_history(lsm_history(what), file, title=open_run(what).settings.arch)


@dataclass(frozen=True, slots=True)
class Sweep(Output):
    """Draw the curve that `foldnet fold --sweep` measured: accuracy against what is stored."""

    of, name, endings = RUN, "sweep.svg", FIGURE_ENDINGS

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """Raises RunError where there is no curve yet."""
        from foldnet.choosing.sweep_file import SWEEP_FILE, read_sweep
        from foldnet.drawing.figures import write_figure
        from foldnet.drawing.sweep_figure import sweep_figure
        from foldnet.store.codec import from_plain
        from foldnet.training.runs import open_run
        from foldnet.verbs.sweep import SweepReport

        run = open_run(what)
        if not (what / SWEEP_FILE).is_file():
            raise RunError(f"run '{what}' has no {SWEEP_FILE}; make it with `foldnet.sweep({str(what)!r})`")
        try:
            sweep = from_plain(SweepReport, read_sweep(run))
            knees = {unit: sweep.units[unit][knee.point] for unit, knee in sweep.knee.items()}
        except (ValueError, KeyError, IndexError) as error:
            raise RunError(f"'{what / SWEEP_FILE}' is not a sweep ({error}); make it again") from None
        figure = sweep_figure(
            sweep.units,
            sweep.soft,
            run.settings.arch,
            knees,
            dense=sweep.dense_numbers,
            measure=run.task.measure,
            images=sweep.images if run.task.proportion else None,
            percent=run.task.share,
        )
        write_figure(figure, file)
