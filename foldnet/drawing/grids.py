"""Grids as pictures: obstacles, queries, the path that was asked for, and what a network marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.colors import BOX_LINE, CELL_COLORS, QUERY_LINE
from foldnet.drawing.figures import check_some, line_key, new_figure, patch_key, place_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FREE, OBSTACLE, HIT, MISS, FALSE = range(5)
NAMES = ("free", "obstacle", "on a path and found (hit)", "on a path, not found (miss)", "found, on no path (false)")
COLUMNS, SIDE, GAP = 4, 1.75, 0.12
QUERY: dict[str, Any] = {"linestyle": "", "marker": "o", "markerfacecolor": "white", "markeredgecolor": QUERY_LINE}


@dataclass(frozen=True, slots=True)
class GridPicture:
    """One grid: `obstacles` and `target` (h, w) bool, `queries` (2, 2) as (row, column), `marked` (h, w) bool, and a
    line below."""

    obstacles: NDArray[np.bool_]
    target: NDArray[np.bool_]
    queries: NDArray[np.int64]
    marked: NDArray[np.bool_]
    caption: str


def kinds_of(grid: GridPicture) -> NDArray[np.int64]:
    """What each cell is, (h, w): FREE, OBSTACLE, HIT, MISS or FALSE; an obstacle that was marked is FALSE."""
    kinds = np.where(grid.obstacles, OBSTACLE, FREE)
    kinds[grid.target & grid.marked] = HIT
    kinds[grid.target & ~grid.marked] = MISS
    kinds[~grid.target & grid.marked] = FALSE
    return kinds


@styled()
def grids_figure(grids: Sequence[GridPicture], title: str = "") -> Figure:
    """The grids side by side, at most four a row. The true path is outlined: hits and misses together are it.

    Raises SettingError where there is none.
    """
    check_some(grids, "there is no grid to draw; ask for at least one")
    columns = min(COLUMNS, len(grids))
    rows = -(-len(grids) // columns)
    top, bottom = 0.42 if title else 0.12, 0.5
    width, height = max(columns * (SIDE + GAP) + GAP, 4.6), rows * (SIDE + GAP + 0.16) + top + bottom
    left = (width - columns * (SIDE + GAP) + GAP) / 2
    kinds = zip(CELL_COLORS[1:], NAMES[1:], strict=True)
    keys = [patch_key(name, facecolor=color, edgecolor=BOX_LINE, linewidth=0.6) for color, name in kinds]
    keys.append(line_key("query", markersize=5, markeredgewidth=1.2, **QUERY))
    keys.append(line_key("border of the true path", color=QUERY_LINE, linewidth=1.0))
    figure = new_figure((width, height), title, keys)
    for number, grid in enumerate(grids):
        row, column = divmod(number, columns)
        _draw_grid(place_axes(figure, left + column * (SIDE + GAP), top + row * (SIDE + GAP + 0.16), SIDE), grid)
    return figure


def _draw_grid(axes: Axes, grid: GridPicture) -> None:
    """The cells, the border of the true path, the queries, and the line below."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    shades = ListedColormap(CELL_COLORS)
    axes.imshow(kinds_of(grid), cmap=shades, vmin=0, vmax=len(CELL_COLORS) - 1, interpolation="nearest")
    padded = np.pad(grid.target, 1)
    # Between a row or column of the padded grid and the next.
    lying, standing = (np.argwhere(np.diff(padded, axis=axis)) for axis in (0, 1))
    lines = [[(column - 1.5, row - 0.5), (column - 0.5, row - 0.5)] for row, column in lying]
    lines += [[(column - 0.5, row - 1.5), (column - 0.5, row - 0.5)] for row, column in standing]
    axes.add_collection(LineCollection(lines, colors=QUERY_LINE, linewidths=0.9, capstyle="projecting"))
    size = max(2.0, 62 / len(grid.obstacles))
    axes.plot(grid.queries[:, 1], grid.queries[:, 0], markersize=size, markeredgewidth=size / 4, **QUERY)
    axes.set_xlabel(grid.caption, fontsize=7, labelpad=2)
