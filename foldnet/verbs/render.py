"""foldnet render: pictures of runs and folds, each declared in PICTURES."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.bounds import BOUNDS
from foldnet.drawing.output import (
    DOT_ENDINGS,
    FIGURE_ENDINGS,
    FOLD,
    GRAPH_ENDINGS,
    HISTORY_ENDINGS,
    LSM_ENDINGS,
    NETWORKS,
    RUN,
    Output,
    Taken,
    Written,
    chosen,
    make,
    several,
)
from foldnet.errors import SettingError
from foldnet.options import Option, plain
from foldnet.training.other_grids import GridsLike, OtherGrids
from foldnet.typed import checked

if TYPE_CHECKING:
    from torch import nn

    from foldnet.training.observer import Observer

Place = Path | str | None


@dataclass(frozen=True, slots=True)
class Graph(Output):
    """Draw the folded network: owners as nodes, loops as arrows, colours by pass.

    By the file's ending: .svg, .png, .pdf (these need Graphviz's dot), .dot, .graphml or .json.
    """

    of, name, endings = FOLD, "graph.svg", GRAPH_ENDINGS
    residual: Annotated[bool, Option("Also draw the residual connections.")] = False

    def write(self, what: "Path | nn.Module", file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures.folded_graph import write

        write(what, file, residual=self.residual)


@dataclass(frozen=True, slots=True)
class Sharing(Output):
    """Draw who mixes what (the paper's Figure 1): layers, templates, coefficients as weighted edges."""

    of, name, endings = RUN, "sharing.svg", DOT_ENDINGS
    checkpoint: Annotated[str, Option()] = "last"

    def write(self, what: Path, file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures.mixing import write

        write(what, file, checkpoint=self.checkpoint)


@dataclass(frozen=True, slots=True)
class Lsm(Output):
    """Draw the layer similarity matrices (white is 1, as in the paper's Figure 2)."""

    of, name, endings = RUN, "lsm.svg", LSM_ENDINGS
    metric: Annotated[str | None, Option()] = None
    checkpoint: Annotated[str, Option()] = "last"

    def write(self, what: Path, file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures.similarities import write

        write(what, file, metric=self.metric, checkpoint=self.checkpoint)


@dataclass(frozen=True, slots=True)
class History(Output):
    """Draw how the layer similarity matrices came to be (the paper's Figure 8): `foldnet lsm --history`."""

    of, name, endings = RUN, "history.svg", HISTORY_ENDINGS

    def write(self, what: Path, file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures.similarities import write_epochs

        write_epochs(what, file)


@dataclass(frozen=True, slots=True)
class Fold(Output):
    """Draw each stage's layers, its similarity matrix and the folded stage side by side (the paper's Figure 4)."""

    of, name, endings = FOLD, "fold.svg", FIGURE_ENDINGS
    run: Annotated[Place, Option()] = None

    def write(self, what: Path, file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures.folded_stages import write

        write(what, file, run=self.run)


@dataclass(frozen=True, slots=True)
class Sweep(Output):
    """Draw the curve that `foldnet fold --sweep` measured: accuracy against what is stored."""

    of, name, endings = RUN, "sweep.svg", FIGURE_ENDINGS

    def write(self, what: Path, file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures.sweep_curve import write

        write(what, file)


@dataclass(frozen=True, slots=True)
class Depth(Output):
    """Measure and draw test accuracy against the trips through each loop."""

    of, name, endings, watched = FOLD, "depth.svg", FIGURE_ENDINGS, True
    most: Annotated[int | None, Option("Most trips to try.  [default: twice what was found]")] = None
    run: Annotated[Place, Option()] = None
    data_dir: Annotated[Path | None, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def write(self, what: Path, file: Path, observer: Any) -> Any:
        from foldnet.verbs.pictures.dials import write_depth

        return write_depth(what, file, **plain(self), observer=observer)


@dataclass(frozen=True, slots=True)
class Paths(Output):
    """Draw grids, their true paths, and what a network finds, misses and marks wrongly.

    With --curves: F1 on held-out grids against epochs, mean and band over the seeds of each network, phases marked;
    runs left out are all under --home that were trained on grids.
    """

    of, name, endings = NETWORKS, "paths.svg", FIGURE_ENDINGS
    curves: Annotated[bool, Option("Draw F1 by epoch instead (the paper's Figure 5), of all runs named.")] = False
    examples: Annotated[int, Option("How many grids to draw.", bound=BOUNDS["pictures"])] = 8
    grids: Annotated[GridsLike | None, Option(flag=None)] = None
    run: Annotated[Place, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def take(self, named: Any) -> Taken:
        """One network, the newest run where none is named; for curves the runs named, or all that were trained on
        grids."""
        paths = several(named)
        if self.curves:
            from foldnet.verbs.pictures.f1_by_epoch import grid_runs

            runs = paths or tuple(grid_runs())
            said = "" if paths else f"takes {', '.join(map(str, runs))}, all runs that were trained on grids"
            return Taken(runs, runs[0].parent, said, {"runs": [str(run) for run in runs]}, "figure5.svg")
        if len(paths) > 1:
            raise SettingError("grids are drawn of one network; name one run or fold, or add --curves")
        from foldnet.folding.opening import kind_of

        taken = RUN.take(paths[0] if paths else None)
        return replace(taken, shown={kind_of(taken.what): str(taken.what)})

    def write(self, what: Any, file: Path, observer: Any) -> None:
        from foldnet.verbs.pictures import f1_by_epoch, marked_grids

        options = plain(self)
        if options.pop("curves"):
            f1_by_epoch.write(what, file)
        else:
            marked_grids.write(what, file, **options)


@dataclass(frozen=True, slots=True)
class Reach(Output):
    """Measure and draw how far networks that find paths reach: F1 and grids wholly right, by steps and by length of
    path.

    Runs and folds are scored on the same grids; of a fold the loop that runs most often is turned.
    """

    of, name, endings, watched = NETWORKS, "reach.svg", FIGURE_ENDINGS, True
    trips: Annotated[
        tuple[int, ...] | None,
        Option("Trips to try: 10,20,40.  [default: a quarter to three times what was found]", suggested=("10,20,40",)),
    ] = None
    recalibrate: Annotated[bool, Option("Also measure with batch norm estimated anew, trip by trip.")] = False
    grids: Annotated[OtherGrids | None, Option(flag=None)] = None
    run: Annotated[Place, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def write(self, what: tuple[Path, ...], file: Path, observer: Any) -> Any:
        from foldnet.verbs.pictures.dials import write_reach

        options = plain(self)
        return write_reach(what, file, recalibrated=options.pop("recalibrate"), **options, observer=observer)


PICTURES: dict[str, type[Output]] = {
    "graph": Graph,
    "sharing": Sharing,
    "lsm": Lsm,
    "fold": Fold,
    "sweep": Sweep,
    "depth": Depth,
    "paths": Paths,
    "reach": Reach,
}


@checked
def render(
    picture: str,
    shown: "Path | str | nn.Module | tuple[Path | str, ...] | None" = None,
    out: Path | str | None = None,
    *,
    force: bool = False,
    observer: "Observer | None" = None,
    **options: Any,
) -> Written:
    """Draw one of PICTURES, by its name, of a run or a fold (default: the newest; some take several), by the ending of
    `out`.

    `options` are the picture's own; without `out` the file gets a new name beside what it shows. Returns the file, what
    it shows, and the report of pictures for which something is measured. Raises UnknownName, SettingError, OutputError,
    RunError, MissingTool.
    """
    return make(chosen(PICTURES, picture, "picture"), shown, out, options, force=force, observer=observer)


@checked
def draw(
    path: "Path | str | nn.Module | None" = None,
    out: Path | str | None = None,
    *,
    residual: bool = False,
    force: bool = False,
) -> Path:
    """Draw the graph of a fold (default: the newest fold of the newest run), by the ending of `out` (default: graph.svg
    there).

    A looped network in memory is drawn too, by default into the working directory.

    .svg, .png and .pdf need Graphviz's dot; .dot, .graphml and .json (networkx node-link) do not. `residual` adds the
    residual connections. Returns the file. Raises RunError, OutputError, SettingError, MissingTool, NothingToFold.
    """
    return make(Graph, path, out, {"residual": residual}, force=force).file
