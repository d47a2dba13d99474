"""Grids in memory: obstacles, two queries, and the cells that a network is to find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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

    def take(self, rows: NDArray[np.int64] | slice) -> "Grids":
        """Some of the grids."""
        return Grids(self.obstacles[rows], self.queries[rows], self.target[rows], self.lengths[rows])

    def inputs(self) -> NDArray[np.uint8]:
        """What a network sees, (n, 2, h, w) of 0 and 1: a map of the queries and one of the obstacles."""
        maps = np.zeros((len(self), 2, *self.obstacles.shape[1:]), np.uint8)
        rows = np.arange(len(self))[:, None]
        maps[rows, 0, self.queries[..., 0], self.queries[..., 1]] = 1
        maps[:, 1] = self.obstacles
        return maps


def joined(parts: list[Grids]) -> Grids:
    """Grids one after the other."""
    return Grids(
        np.concatenate([part.obstacles for part in parts]),
        np.concatenate([part.queries for part in parts]),
        np.concatenate([part.target for part in parts]),
        np.concatenate([part.lengths for part in parts]),
    )


def gather(count: int, block: Callable[[], Grids]) -> Grids:
    """The first `count` grids of as many blocks as it takes; a block may hold fewer than were drawn."""

    def blocks() -> Iterator[Grids]:
        missing = count
        while missing > 0:
            part = block()
            yield part.take(slice(0, missing))
            missing -= len(part)

    return joined(list(blocks()))
