"""Grids as pictures: obstacles, queries, the path that was asked for, and what a network marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.colors import BOX_LINE, CELL_COLORS, QUERY_LINE
from foldnet.drawing.figures import draw_legend, draw_title, own_settings
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

FREE, OBSTACLE, HIT, MISS, FALSE = range(5)
NAMES = ("free", "obstacle", "on a path and found (hit)", "on a path, not found (miss)", "found, on no path (false)")
COLUMNS, SIDE, GAP = 4, 1.75, 0.12


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


def grids_figure(grids: Sequence[GridPicture], title: str = "") -> Figure:
    """The grids side by side, at most four a row. The true path is outlined: hits and misses together are it.

    Raises SettingError where there is none.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if not grids:
        raise SettingError("there is no grid to draw; ask for at least one")
    columns = min(COLUMNS, len(grids))
    rows = -(-len(grids) // columns)
    top, bottom = 0.42 if title else 0.12, 0.5
    width, height = max(columns * (SIDE + GAP) + GAP, 4.6), rows * (SIDE + GAP + 0.16) + top + bottom
    left = (width - columns * (SIDE + GAP) + GAP) / 2
    with own_settings():
        figure = Figure(figsize=(width, height))
        for number, grid in enumerate(grids):
            row, column = divmod(number, columns)
            x, y = left + column * (SIDE + GAP), height - top - row * (SIDE + GAP + 0.16) - SIDE
            axes = figure.add_axes((x / width, y / height, SIDE / width, SIDE / height))
            axes.imshow(
                kinds_of(grid),
                cmap=ListedColormap(CELL_COLORS),
                vmin=0,
                vmax=len(CELL_COLORS) - 1,
                interpolation="nearest",
            )
            _outline(axes, grid.target)
            size = max(2.0, 62 / len(grid.obstacles))
            axes.plot(grid.queries[:, 1], grid.queries[:, 0], linestyle="", marker="o", markersize=size,
                      markerfacecolor="white", markeredgecolor=QUERY_LINE, markeredgewidth=size / 4)  # fmt: skip
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(grid.caption, fontsize=7, labelpad=2)
        handles: list[Artist] = [
            Patch(facecolor=color, edgecolor=BOX_LINE, linewidth=0.6, label=name)
            for color, name in zip(CELL_COLORS[1:], NAMES[1:], strict=True)
        ]
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=5, markerfacecolor="white",
                              markeredgecolor=QUERY_LINE, markeredgewidth=1.2, label="query"))  # fmt: skip
        handles.append(
            Line2D([], [], color=QUERY_LINE, linewidth=1.0, linestyle="-", marker="", label="border of the true path")
        )
        draw_legend(figure, handles)
        draw_title(figure, title)
    return figure


def _outline(axes: object, target: NDArray[np.bool_]) -> None:
    """A line around the cells of the true path."""
    from matplotlib.collections import LineCollection

    padded = np.pad(target, 1)
    lines = []
    for row, column in np.argwhere(padded[1:, :] != padded[:-1, :]):  # between row and row + 1 of the padded grid
        lines.append([(column - 1.5, row - 0.5), (column - 0.5, row - 0.5)])
    for row, column in np.argwhere(padded[:, 1:] != padded[:, :-1]):
        lines.append([(column - 0.5, row - 1.5), (column - 0.5, row - 0.5)])
    axes.add_collection(LineCollection(lines, colors=QUERY_LINE, linewidths=0.9, capstyle="projecting"))  # type: ignore[attr-defined]
