"""Shortest paths in grids with random obstacles (Savarese & Maire, https://arxiv.org/abs/1902.09701, section 4.4)."""

from dataclasses import dataclass

import numpy as np

from foldnet.bounds import check_number
from foldnet.data.grids import BLOCK, FAR, WAYS, Grids, Stream, cells_of_paths, gather
from foldnet.errors import SettingError, nearest
from foldnet.hardware import memory_bytes

CELL_BYTES = 16  # of a cell while grids are drawn: inputs, target, and the distances of the search


@dataclass(frozen=True, slots=True)
class PathRule:
    """How grids are drawn: side `grid`, each query within the `window` (side, odd) around the other, obstacles with
    probability `obstacles`, and what is to be found: the "union" of all shortest paths, or "one".

    Raises SettingError where no grid could be drawn so.
    """

    grid: int = 32
    window: int = 13
    obstacles: float = 0.1
    target: str = "union"

    def __post_init__(self) -> None:
        if not 0 <= self.obstacles <= 1:
            raise SettingError(f"`obstacles={self.obstacles:g}` is not a probability; give a number from 0 to 1")
        if self.grid < 2:
            raise SettingError(f"`grid={self.grid}` has no pair of free cells for the queries; give at least 3")
        if self.window % 2 == 0:
            raise SettingError(
                f"a window of {self.window} is even, so that no cell is its middle; give an odd number "
                f"such as {self.window + 1}"
            )
        if self.window < 3:
            raise SettingError(f"a window of {self.window} has no room for two different queries; give at least 3")
        if self.window > self.grid:
            raise SettingError(
                f"a window of {self.window} is larger than the grid of {self.grid}; "
                f"give at most {self.grid - (self.grid + 1) % 2}, or a larger `grid`"
            )
        if self.obstacles == 1:
            raise SettingError(
                "`obstacles=1` makes every cell an obstacle, so that no grid has a pair of free cells; give less"
            )
        for name in ("grid", "window"):
            check_number(name, getattr(self, name))
        if self.target not in WAYS:
            raise SettingError(
                f"`target={self.target!r}` is not legal; choose {' or '.join(WAYS)}{nearest(self.target, WAYS)}"
            )


def draw_paths(count: int, rule: PathRule, *, seed: int = 0, phase: int = 0, split: str = "train") -> Grids:
    """`count` grids that depend on (seed, phase, split) alone: a longer set begins with the shorter one.

    All pairs of different free cells within the window are equally likely, given that they can reach each other; a grid
    whose queries cannot is drawn again whole. Raises SettingError for fewer than one grid.
    """
    check_count(count, rule.grid)
    stream = Stream(seed, phase, split)
    return gather(count, lambda: _draw_block(stream, rule))


def check_count(count: int, side: int) -> None:
    """Raise SettingError for fewer than one grid, or for more than the memory holds."""
    check_number("count", count)
    needed, (_, free) = max(count, BLOCK) * side**2 * CELL_BYTES, memory_bytes()
    if free is not None and needed > free:
        raise SettingError(
            f"{count:,} grids of {side}x{side} cells take {needed / 2**30:,.1f} GiB and this machine has "
            f"{free / 2**30:,.1f} GiB free; "
            f"ask for fewer, or for smaller ones"
        )


def _draw_block(stream: Stream, rule: PathRule) -> Grids:
    """Of BLOCK grids those whose queries lie inside and can reach each other."""
    obstacles = stream.uniform(BLOCK, rule.grid, rule.grid) < rule.obstacles
    first = stream.below(rule.grid, BLOCK, 2)
    offset = stream.below(rule.window**2 - 1, BLOCK)
    offset += offset >= (rule.window**2 - 1) // 2  # the middle is the first query itself
    second = first + np.stack(np.divmod(offset, rule.window), 1) - rule.window // 2
    inside = ((second >= 0) & (second < rule.grid)).all(1)
    obstacles, queries = obstacles[inside], np.stack([first, second], 1)[inside]
    # Cells are drawn on their own, so freeing the two is the same as drawing until both are free, and quick for any p.
    obstacles[np.arange(len(queries))[:, None], queries[..., 0], queries[..., 1]] = False
    target, lengths = cells_of_paths(~obstacles, queries, rule.target)
    return Grids(obstacles, queries, target, lengths).take(np.flatnonzero(lengths < FAR))
