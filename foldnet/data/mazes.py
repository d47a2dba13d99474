"""Perfect mazes: between any two free cells there is exactly one path (the task of Schwarzschild et al.,
https://arxiv.org/abs/2106.04537)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foldnet.bounds import check_number
from foldnet.data.grids import BLOCK, STEPS, Grids, Stream, cells_of_all_paths, gather
from foldnet.data.paths import check_count
from foldnet.errors import SettingError


@dataclass(frozen=True, slots=True)
class MazeRule:
    """How mazes are drawn: `size` is the side in cells, walls included, and odd; rooms lie at even rows and columns.

    Raises SettingError where there is no such maze.
    """

    size: int = 9

    def __post_init__(self) -> None:
        if self.size < 3 or self.size % 2 == 0:
            raise SettingError(
                f"`size={self.size}` is no maze's side; give an odd number of at least 3, since rooms and "
                "walls alternate"
            )
        check_number("size", self.size)


def draw_mazes(count: int, rule: MazeRule, *, seed: int = 0, phase: int = 0, split: str = "train") -> Grids:
    """`count` mazes that depend on (seed, phase, split) alone: a longer set begins with the shorter one.

    The passages are a spanning tree of the rooms, found by a random depth-first walk, which makes long winding
    corridors; the queries are any two different free cells. Raises SettingError for fewer than one maze.
    """
    check_count(count, rule.size)
    stream = Stream(seed, phase, split)
    return gather(count, lambda: _draw_block(stream, rule))


def _draw_block(stream: Stream, rule: MazeRule) -> Grids:
    """BLOCK mazes with their queries."""
    free = _dig(stream, (rule.size + 1) // 2)
    # Every tree of r rooms has r - 1 passages, so all mazes have as many free cells.
    places = np.flatnonzero(free).reshape(BLOCK, -1) % rule.size**2
    first = stream.below(places.shape[1], BLOCK)
    second = stream.below(places.shape[1] - 1, BLOCK)
    second += second >= first
    chosen = np.take_along_axis(places, np.stack([first, second], 1), axis=1)
    queries = np.stack(np.divmod(chosen, rule.size), -1).astype(np.int64)
    target, lengths = cells_of_all_paths(free, queries[:, 0], queries[:, 1])
    return Grids(~free, queries, target, lengths)


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
