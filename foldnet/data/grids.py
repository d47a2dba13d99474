"""Grids in memory: obstacles, two queries, and the cells that a network is to find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 512  # grids that are drawn together: the first hundred of a thousand are those of a hundred


@dataclass(frozen=True, slots=True, eq=False)
class Grids:
    """n grids. `obstacles` (n, h, w) bool, `queries` (n, 2, 2) int64 as (row, column), `target` (n, h, w) bool, and
    `lengths` (n,) int32, the steps of a shortest path.
    """

    obstacles: NDArray[np.bool_]
    queries: NDArray[np.int64]
    target: NDArray[np.bool_]
    lengths: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.obstacles)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All four."""
        return self.obstacles, self.queries, self.target, self.lengths

    def take(self, rows: NDArray[np.int64] | slice) -> "Grids":
        """Some of the grids."""
        return Grids(*(array[rows] for array in self.arrays))

    def inputs(self) -> NDArray[np.uint8]:
        """What a network sees, (n, 2, h, w) of 0 and 1: a map of the queries and one of the obstacles."""
        maps = np.zeros((len(self), 2, *self.obstacles.shape[1:]), np.uint8)
        rows = np.arange(len(self))[:, None]
        maps[rows, 0, self.queries[..., 0], self.queries[..., 1]] = 1
        maps[:, 1] = self.obstacles
        return maps


def gather(count: int, block: Callable[[], Grids]) -> Grids:
    """The first `count` grids of as many blocks as it takes; a block may hold fewer than were drawn."""
    parts: list[Grids] = []
    while (missing := count - sum(map(len, parts))) > 0:
        parts.append(block().take(slice(missing)))
    return Grids(*map(np.concatenate, zip(*(part.arrays for part in parts), strict=True)))


Cells = NDArray[np.bool_]  # (n, h, w)
Points = NDArray[np.int64]  # (n, 2) as (row, column)
Distances = NDArray[np.int32]  # (n, h, w)

FAR = 1 << 20  # the distance of a cell that was not reached; two of them still fit an int32
STEPS = ((-1, 0), (0, -1), (0, 1), (1, 0))  # up, left, right, down: in this order ties are broken
WAYS = ("union", "one")


def distances(free: Cells, start: Points, goal: Points) -> Distances:
    """Steps from each grid's `start` over its free cells; exact up to the goal's distance, and FAR where no path leads.

    The search ends when every goal is reached or nothing more can be, so that cells beyond may be FAR too.
    Shapes: free (n, h, w), start and goal (n, 2) on free cells -> (n, h, w).
    """
    count, _, width = free.shape
    grids = np.arange(count)
    # A border of walls, and rows end to end: a step is then one shift of a flat array, and none leaves its grid.
    unseen = np.pad(free, ((0, 0), (1, 1), (1, 1)))
    flat = unseen.reshape(-1)
    found = np.full(unseen.shape, FAR, np.int32)
    frontier, spread = np.zeros_like(flat), np.zeros_like(flat)
    frontier.reshape(unseen.shape)[grids, start[:, 0] + 1, start[:, 1] + 1] = True
    step, line = 0, width + 2
    while frontier.any():
        np.copyto(found.reshape(-1), step, where=frontier)
        flat &= ~frontier
        if not unseen[grids, goal[:, 0] + 1, goal[:, 1] + 1].any():
            break
        spread[:] = False
        for shift in (1, line):
            spread[shift:] |= frontier[:-shift]
            spread[:-shift] |= frontier[shift:]
        np.logical_and(spread, flat, out=frontier)
        step += 1
    return found[:, 1:-1, 1:-1]


def path_lengths(reached: Distances, goal: Points) -> NDArray[np.int32]:
    """Steps to each grid's goal, (n,); FAR where it was not reached."""
    lengths: NDArray[np.int32] = reached[np.arange(len(goal)), goal[:, 0], goal[:, 1]]
    return lengths


def cells_of_all_paths(free: Cells, start: Points, goal: Points) -> tuple[Cells, NDArray[np.int32]]:
    """Cells that lie on any shortest path from start to goal, (n, h, w), and its length in steps, (n,).

    No cell of a grid whose goal cannot be reached; its length is FAR.
    """
    onward, back = distances(free, start, goal), distances(free, goal, start)
    lengths = path_lengths(onward, goal)
    together = onward + back == lengths[:, None, None]
    return together & (lengths < FAR)[:, None, None], lengths


def cells_of_one_path(free: Cells, start: Points, goal: Points) -> tuple[Cells, NDArray[np.int32]]:
    """Cells of one shortest path from start to goal, (n, h, w), and its length in steps, (n,).

    From the start on, each step leads to a neighbour that is nearer to the goal; where several are, to the first of up,
    left, right and down.
    """
    back = distances(free, goal, start)
    lengths = path_lengths(back, start)
    padded = np.pad(back, ((0, 0), (1, 1), (1, 1)), constant_values=FAR)
    path = np.zeros(free.shape, np.bool_)
    moves = np.array(STEPS)
    walking = np.flatnonzero(lengths < FAR)
    place = start[walking]
    path[walking, place[:, 0], place[:, 1]] = True
    for ahead in range(int(lengths[walking].max(initial=0)) - 1, -1, -1):
        # Who has further to go waits for the others, so that all arrive together.
        moving = lengths[walking] > ahead
        some, here = walking[moving], place[moving]
        around = here[:, None] + moves + 1
        nearer = padded[some[:, None], around[..., 0], around[..., 1]] == ahead
        here = here + moves[nearer.argmax(1)]
        place[moving] = here
        path[some, here[:, 0], here[:, 1]] = True
    return path, lengths


def cells_of_paths(free: Cells, queries: NDArray[np.int64], way: str) -> tuple[Cells, NDArray[np.int32]]:
    """What is to be found, by `way`: "union" of all shortest paths, or "one" of them. queries (n, 2, 2) -> (n, h, w),
    (n,)."""
    search = cells_of_all_paths if way == "union" else cells_of_one_path
    return search(free, queries[:, 0], queries[:, 1])
