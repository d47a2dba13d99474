"""foldnet data: sets of grids in files to keep, each declared in SETS. Knows no numpy until it draws."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from foldnet.drawing.output import check_ending
from foldnet.options import Option, check_choice, check_fields
from foldnet.show.report import Report, Table, Text, percent
from foldnet.store.files import refuse_existing, write_new, write_whole

if TYPE_CHECKING:
    from foldnet.data.rules import Rule

ENDING = ".npz"


@dataclass(frozen=True, slots=True)
class GridSet:
    """Grids to draw: they depend on (seed, phase, split) and their rule alone, and are those that a training with these
    numbers sees."""

    name: ClassVar[str]
    count: Annotated[int, Option("How many grids.")] = 1000
    seed: Annotated[int, Option("The same seed gives the same grids, on every machine.")] = 0
    phase: Annotated[int, Option("Phase of the curriculum, from 1: each draws numbers of its own.")] = 1
    split: Annotated[str, Option("train, validation or test.")] = "train"

    def rule(self) -> "Rule":
        """The rule of the grids. Raises SettingError for one by which none can be drawn."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PathSet(GridSet):
    """Grids with random obstacles, two queries, and the cells on shortest paths between them.

    The file holds obstacles (n, h, w), queries (n, 2, 2) as (row, column) and target (n, h, w).
    """

    name = "paths"
    grid: Annotated[int, Option("Side of a grid in cells.")] = 32
    window: Annotated[int, Option("Each query lies in a window of this side (odd) around the other.")] = 13
    obstacles: Annotated[float, Option("Probability that a cell is an obstacle.")] = 0.1
    target: Annotated[str, Option("What is to be found: union of all shortest paths, or one of them.")] = "union"

    def rule(self) -> "Rule":
        """See GridSet."""
        from foldnet.data.rules import PathRule

        return PathRule(self.grid, self.window, self.obstacles, self.target)


@dataclass(frozen=True, slots=True)
class MazeSet(GridSet):
    """Mazes in which exactly one path joins any two free cells, two queries, and the cells of their path.

    The file is like that of `foldnet data paths`.
    """

    name = "mazes"
    size: Annotated[int, Option("Side of a maze in cells, walls included (odd).")] = 9

    def rule(self) -> "Rule":
        """See GridSet."""
        from foldnet.data.rules import MazeRule

        return MazeRule(self.size)


SETS: dict[str, type[GridSet]] = {"paths": PathSet, "mazes": MazeSet}


@dataclass(frozen=True, slots=True)
class GridsReport(Report):
    """What was written: how many grids of which side, and what is in them. Lengths are steps of a shortest path."""

    computed: ClassVar = (
        *("dataset=grids.name", "count=grids.count", "seed=grids.seed", "phase=grids.phase", "split=grids.split"),
    )
    unwritten: ClassVar = ("grids",)
    file: str
    grids: GridSet
    size: int
    mean_length: float
    longest: int
    share_of_obstacles: float
    share_of_target: float

    def parts(self) -> Iterator[Table | Text]:
        """How many there are, how they were drawn, and where they are."""
        grids = self.grids
        cells = f"{percent(self.share_of_obstacles, 1)} obstacles, {percent(self.share_of_target, 1)} target"
        rows = (
            (grids.name, f"{grids.count:,} grids of {self.size}x{self.size} cells, seed {grids.seed}"),
            ("drawn as", f"{grids.split}, phase {grids.phase}"),
            ("shortest paths", f"{self.mean_length:.1f} steps on average, {self.longest} at most"),
            ("cells", cells),
        )
        yield Table("", (), rows)
        yield Text(f"wrote {self.file}")


def write_grids(wanted: GridSet, out: Path | str | None = None, *, force: bool = False) -> GridsReport:
    """Draw a set and write it as NumPy's .npz (default: a new paths.npz or mazes.npz), whole or not at all.

    The file holds `obstacles` (n, h, w) bool, `queries` (n, 2, 2) int64 as (row, column) and `target` (n, h, w) bool.
    Raises SettingError, OutputError.
    """
    import numpy as np

    from foldnet.data.rules import draw_grids
    from foldnet.data.stream import SPLITS

    rule = wanted.rule()
    if out is not None:
        check_ending(Path(out), (ENDING,))
    refuse_existing(out, force=force)
    check_fields(wanted)
    check_choice("split", wanted.split, SPLITS)
    drawn = draw_grids(wanted.count, rule, seed=wanted.seed, phase=wanted.phase - 1, split=wanted.split)
    content = io.BytesIO()
    np.savez_compressed(content, obstacles=drawn.obstacles, queries=drawn.queries, target=drawn.target)
    if out is None:
        file = write_new(Path(f"{wanted.name}{ENDING}"), content.getvalue())
    else:
        write_whole(file := Path(out), content.getvalue())
    return GridsReport(
        file=str(file),
        grids=wanted,
        size=drawn.obstacles.shape[1],
        mean_length=float(drawn.lengths.mean()),
        longest=int(drawn.lengths.max()),
        share_of_obstacles=float(drawn.obstacles.mean()),
        share_of_target=float(drawn.target.mean()),
    )
