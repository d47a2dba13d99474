"""Other grids than a run was trained on, to score it on.

A file of its own: pictures have these options too, and load no dataset.
"""

from dataclasses import dataclass
from typing import Annotated

from foldnet.options import Option
from foldnet.typed import checked


@checked
@dataclass(frozen=True, slots=True)
class GridsLike:
    """The kind of grids; what is None is as in the run's last phase, or as its dataset's preset says."""

    dataset: Annotated[str | None, Option("paths or mazes.  [default: the run's]")] = None
    grid: Annotated[int | None, Option("Side of other grids of paths.  [default: the run's]")] = None
    window: Annotated[int | None, Option("Window (odd) of their queries.  [default: the run's last]")] = None
    obstacles: Annotated[float | None, Option("Probability of their obstacles.  [default: the run's]")] = None
    target: Annotated[str | None, Option("union or one.  [default: the run's]")] = None
    size: Annotated[int | None, Option("Side of other mazes (odd).  [default: the run's]")] = None


@checked
@dataclass(frozen=True, slots=True)
class OtherGrids(GridsLike):
    """Grids to score on; what is None is as in the run's last phase, or as its dataset's preset says."""

    count: Annotated[int | None, Option("How many other grids.  [default: 1000]")] = None
