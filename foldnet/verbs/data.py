"""foldnet data paths and foldnet data mazes: a set of grids in a file to keep."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldnet.bounds import check_number
from foldnet.data.drawn import SPLITS
from foldnet.data.grids import Grids
from foldnet.data.mazes import MazeRule, draw_mazes
from foldnet.data.paths import PathRule, draw_paths
from foldnet.errors import SettingError, nearest
from foldnet.show.report import Report, Table, Text
from foldnet.show.scores import percent
from foldnet.store.files import free_name, refuse_existing, write_whole

ENDING = ".npz"


@dataclass(frozen=True, slots=True)
class GridsReport(Report):
    """What was written: how many grids of which side, and what is in them. Lengths are steps of a shortest path."""

    file: str
    dataset: str
    count: int
    size: int
    seed: int
    phase: int
    split: str
    mean_length: float
    longest: int
    share_of_obstacles: float
    share_of_target: float

    def parts(self) -> Iterator[Table | Text]:
        """How many there are, how they were drawn, and where they are."""
        cells = f"{percent(self.share_of_obstacles, 1)} obstacles, {percent(self.share_of_target, 1)} target"
        rows = (
            (self.dataset, f"{self.count:,} of {self.size}x{self.size} cells, seed {self.seed}"),
            ("drawn as", f"{self.split}, phase {self.phase}"),
            ("shortest paths", f"{self.mean_length:.1f} steps on average, {self.longest} at most"),
            ("cells", cells),
        )
        yield Table("", (), rows)
        yield Text(f"wrote {self.file}")


def write_paths(
    out: Path | str | None = None,
    *,
    count: int = 1000,
    grid: int = 32,
    window: int = 13,
    obstacles: float = 0.1,
    target: str = "union",
    seed: int = 0,
    phase: int = 1,
    split: str = "train",
    force: bool = False,
) -> GridsReport:
    """Draw grids with random obstacles and write them as NumPy's .npz (default: paths.npz).

    The file holds `obstacles` (n, h, w) bool, `queries` (n, 2, 2) int64 as (row, column) and `target` (n, h, w) bool. They depend
    on (seed, phase, split) and the rule alone, and are those that a training with these numbers sees.
    Raises SettingError, OutputError.
    """
    rule = PathRule(grid, window, obstacles, target)
    file = _file(out, "paths", force)
    _check(seed, phase, split)
    drawn = draw_paths(count, rule, seed=seed, phase=phase - 1, split=split)
    return _write(file, "paths", drawn, seed, phase, split)


def write_mazes(
    out: Path | str | None = None,
    *,
    count: int = 1000,
    size: int = 9,
    seed: int = 0,
    phase: int = 1,
    split: str = "train",
    force: bool = False,
) -> GridsReport:
    """Draw perfect mazes and write them as write_paths does (default: mazes.npz). Raises SettingError, OutputError."""
    rule = MazeRule(size)
    file = _file(out, "mazes", force)
    _check(seed, phase, split)
    drawn = draw_mazes(count, rule, seed=seed, phase=phase - 1, split=split)
    return _write(file, "mazes", drawn, seed, phase, split)


def _file(out: Path | str | None, dataset: str, force: bool) -> Path:
    """Where the set goes. Raises SettingError for another ending, OutputError where it cannot go there."""
    if out is None:
        return free_name(Path(f"{dataset}{ENDING}"))
    path = Path(out)
    if path.suffix != ENDING:
        raise SettingError(f"'{path}' does not end in {ENDING}; give -o such a name, for example {dataset}{ENDING}")
    refuse_existing(path, force=force)
    return path


def _check(seed: int, phase: int, split: str) -> None:
    """Raise SettingError for what no stream of random numbers has."""
    check_number("seed", seed)
    check_number("phase", phase)
    if split not in SPLITS:
        raise SettingError(f"`split={split!r}` is not legal; choose {', '.join(SPLITS)}{nearest(split, SPLITS)}")


def _write(file: Path, dataset: str, drawn: Grids, seed: int, phase: int, split: str) -> GridsReport:
    """Write the set, whole or not at all, and say what is in it."""
    content = io.BytesIO()
    np.savez_compressed(content, obstacles=drawn.obstacles, queries=drawn.queries, target=drawn.target)
    write_whole(file, content.getvalue())
    return GridsReport(
        file=str(file),
        dataset=dataset,
        count=len(drawn),
        size=drawn.obstacles.shape[1],
        seed=seed,
        phase=phase,
        split=split,
        mean_length=float(drawn.lengths.mean()),
        longest=int(drawn.lengths.max()),
        share_of_obstacles=float(drawn.obstacles.mean()),
        share_of_target=float(drawn.target.mean()),
    )
