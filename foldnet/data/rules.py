"""How grids are drawn: random obstacles with two queries, and perfect mazes."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from foldnet.bounds import check_number
from foldnet.data.grids import BLOCK, FAR, STEPS, WAYS, Grids, cells_of_all_paths, cells_of_paths, gather
from foldnet.data.stream import Stream
from foldnet.errors import SettingError
from foldnet.hardware import memory_bytes
from foldnet.options import Option, check_fields

CELL_BYTES = 16  # of a cell while grids are drawn: inputs, target, and the distances of the search


@dataclass(frozen=True, slots=True)
class PathRule:
    """How grids with random obstacles are drawn: side `grid`, each query within the `window` (side, odd) around the
    other, obstacles with probability `obstacles`, and what is to be found: the "union" of all shortest paths, or "one".
    The task is that of Savarese & Maire, https://arxiv.org/abs/1902.09701, section 4.4.

    Raises SettingError where no grid could be drawn so.
    """

    name: ClassVar[str] = "paths"
    grid: Annotated[int, Option()] = 32
    window: Annotated[int, Option()] = 13
    obstacles: Annotated[float, Option()] = 0.1
    target: Annotated[str, Option(choices=WAYS)] = "union"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.window % 2 == 0:
            raise SettingError(
                f"a window of {self.window} is even, so that no cell is its middle; give an odd number "
                f"such as {self.window + 1}"
            )
        if self.window > self.grid:
            raise SettingError(
                f"a window of {self.window} is larger than the grid of {self.grid}; "
                f"give at most {self.grid - (self.grid + 1) % 2}, or a larger `grid`"
            )
        if self.obstacles == 1:
            raise SettingError(
                "`obstacles=1` makes every cell an obstacle, so that no grid has a pair of free cells; give less"
            )

    @property
    def side(self) -> int:
        """Of a grid in cells."""
        return self.grid

    @property
    def described(self) -> str:
        """The grids in words."""
        shape = f"{self.grid}x{self.grid} cells, window {self.window}"
        return f"grids of {shape}, obstacles {self.obstacles:g}, {self.target}"

    def block(self, stream: Stream) -> Grids:
        """Of BLOCK grids those whose queries lie inside and can reach each other: all pairs of different free cells
        within the window are equally likely, given that."""
        obstacles = stream.uniform(BLOCK, self.grid, self.grid) < self.obstacles
        first = stream.below(self.grid, BLOCK, 2)
        offset = stream.below(self.window**2 - 1, BLOCK)
        offset += offset >= (self.window**2 - 1) // 2  # the middle is the first query itself
        second = first + np.stack(np.divmod(offset, self.window), 1) - self.window // 2
        inside = ((second >= 0) & (second < self.grid)).all(1)
        obstacles, queries = obstacles[inside], np.stack([first, second], 1)[inside]
        # Cells are drawn on their own: freeing the two is the same as drawing until both are free, and quick for any p.
        obstacles[np.arange(len(queries))[:, None], queries[..., 0], queries[..., 1]] = False
        target, lengths = cells_of_paths(~obstacles, queries, self.target)
        return Grids(obstacles, queries, target, lengths).take(np.flatnonzero(lengths < FAR))


@dataclass(frozen=True, slots=True)
class MazeRule:
    """How perfect mazes are drawn, in which exactly one path joins any two free cells (the task of Schwarzschild et
    al., https://arxiv.org/abs/2106.04537): `size` is the side in cells, walls included, and odd; rooms lie at even rows
    and columns.

    Raises SettingError where there is no such maze.
    """

    name: ClassVar[str] = "mazes"
    size: int = 9

    def __post_init__(self) -> None:
        if self.size < 3 or self.size % 2 == 0:
            raise SettingError(
                f"no maze has a side of {self.size}; give an odd number of at least 3, since rooms and walls alternate"
            )

    @property
    def side(self) -> int:
        """Of a maze in cells."""
        return self.size

    @property
    def described(self) -> str:
        """The mazes in words."""
        return f"mazes of {self.size}x{self.size} cells"

    def block(self, stream: Stream) -> Grids:
        """BLOCK mazes, and as queries any two different free cells of each.

        The passages are a spanning tree of the rooms, found by a random depth-first walk, which makes long winding
        corridors.
        """
        free = _dig(stream, (self.size + 1) // 2)
        # Every tree of r rooms has r - 1 passages, so all mazes have as many free cells.
        places = np.flatnonzero(free).reshape(BLOCK, -1) % self.size**2
        first = stream.below(places.shape[1], BLOCK)
        second = stream.below(places.shape[1] - 1, BLOCK)
        second += second >= first
        chosen = np.take_along_axis(places, np.stack([first, second], 1), axis=1)
        queries = np.stack(np.divmod(chosen, self.size), -1).astype(np.int64)
        target, lengths = cells_of_all_paths(free, queries[:, 0], queries[:, 1])
        return Grids(~free, queries, target, lengths)


Rule = PathRule | MazeRule


def draw_grids(count: int, rule: Rule, *, seed: int = 0, phase: int = 0, split: str = "train") -> Grids:
    """`count` grids that depend on (seed, phase, split) alone: a longer set begins with the shorter one.

    Raises SettingError for fewer than one grid, or for more than the memory holds.
    """
    check_number("count", count)
    needed, (_, free) = max(count, BLOCK) * rule.side**2 * CELL_BYTES, memory_bytes()
    if free is not None and needed > free:
        raise SettingError(
            f"{count:,} grids of {rule.side}x{rule.side} cells take {needed / 2**30:,.1f} GiB and this machine has "
            f"{free / 2**30:,.1f} GiB free; ask for fewer, or for smaller ones"
        )
    stream = Stream(seed, phase, split)
    return gather(count, lambda: rule.block(stream))


def _dig(stream: Stream, side: int) -> NDArray[np.bool_]:
    """Free cells of BLOCK mazes of side x side rooms, (BLOCK, size, size): all walks take a step, or one back, at a
    time."""
    size, mazes = 2 * side - 1, np.arange(BLOCK)
    free = np.zeros((BLOCK, size, size), np.bool_)
    unseen = np.zeros((BLOCK, side + 2, side + 2), np.bool_)  # with a border that nobody enters
    unseen[:, 1:-1, 1:-1] = True
    moves = np.array(STEPS)
    here = stream.below(side, BLOCK, 2)
    trail = np.zeros((BLOCK, side * side, 2), np.int64)
    depth = np.zeros(BLOCK, np.int64)
    free[mazes, 2 * here[:, 0], 2 * here[:, 1]] = True
    unseen[mazes, here[:, 0] + 1, here[:, 1] + 1] = False
    trail[:, 0] = here
    for _ in range(2 * (side * side - 1)):  # each room but the first is entered once and left backwards once
        around = here[:, None] + moves + 1
        open_ways = unseen[mazes[:, None], around[..., 0], around[..., 1]]
        ways = open_ways.sum(1)
        picked = stream.below(np.maximum(ways, 1), BLOCK)
        move = moves[(open_ways.cumsum(1) == picked[:, None] + 1).argmax(1)]
        goes = ways > 0
        some, there = mazes[goes], (here + move)[goes]
        middle = (2 * here + move)[goes]
        free[some, 2 * there[:, 0], 2 * there[:, 1]] = True
        free[some, middle[:, 0], middle[:, 1]] = True
        unseen[some, there[:, 0] + 1, there[:, 1] + 1] = False
        depth = np.where(goes, depth + 1, np.maximum(depth - 1, 0))
        trail[some, depth[goes]] = there
        here = trail[mazes, depth]
    return free
