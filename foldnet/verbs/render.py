"""foldnet render: pictures of runs, folds and studies, each declared in PICTURES."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.bounds import checked
from foldnet.drawing.output import Output, Written, chosen, make
from foldnet.verbs.pictures.grids import Paths, Reach
from foldnet.verbs.pictures.networks import Depth, Fold, Graph, Lsm, Sharing, Sweep
from foldnet.verbs.pictures.studies import Efficiency, Seeds
from foldnet.zoo.family import runs_code

if TYPE_CHECKING:
    from torch import nn

    from foldnet.training.observer import Observer

PICTURES: dict[str, type[Output]] = {
    Path(kind.name).stem: kind for kind in (Graph, Sharing, Lsm, Fold, Sweep, Depth, Paths, Reach, Efficiency, Seeds)
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


@runs_code
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
