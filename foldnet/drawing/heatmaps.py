"""Layer similarity matrices as pictures: white is 1 and black is 0, as in Figures 2 and 8 of the paper.

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701. Every panel says its chance level, without which it
misleads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foldnet.analysis.chance import GroupLsm, beyond_chance, shown_level
from foldnet.drawing.colors import MARK
from foldnet.drawing.figures import check_some, legend_inches, new_figure, patch_key, place_axes, styled, title_inches

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALUES_UP_TO = 16  # layers of a panel whose cells still have room for their number
NAMES_UP_TO = 40  # layers of a panel whose names are still readable
MARKS_UP_TO = 60  # layers of a panel whose frames would not hide the cells
PANELS_A_ROW = 4
GAP, NAME_ROOM, CAPTION_ROOM = 0.25, 0.28, 0.3  # inches: between panels, and for what stands above and below one
HISTORY_COLUMNS = 8
NO_GROUP = "there is no group of layers to draw; a network without shared layers has no similarity matrix"


@dataclass(frozen=True, slots=True)
class Panel:
    """A group ready to be drawn, sizes in inches: `marks` (L, L) are the pairs of different layers beyond chance, as
    the tables' stars are."""

    name: str
    names: tuple[str, ...]
    matrix: NDArray[np.float64]
    marks: NDArray[np.bool_]
    caption: str

    @property
    def side(self) -> float:
        """Of the square."""
        return float(np.clip(0.3 * len(self.names), 1.8, 4.0))

    @property
    def label_room(self) -> float:
        """Room for the longest layer name, or for an index where there are too many to name."""
        return 0.15 + 0.062 * (max(map(len, self.names)) if 0 < len(self.names) <= NAMES_UP_TO else 4)

    @property
    def overhang(self) -> float:
        """How far the group's name above or the caption below reach beyond the square on either side."""
        return max(0.0, 0.088 * len(self.name) - self.side, 0.06 * len(self.caption) - self.side) / 2


@styled()
def lsm_figure(groups: Sequence[GroupLsm], title: str = "") -> Figure:
    """The groups' matrices side by side, cells above the 95 % chance level framed.

    Raises SettingError where there is no group.
    """
    check_some(groups, NO_GROUP)
    panels = [_panel(group) for group in groups]
    keys = _keys(panels)
    (inner, height), places = _layout(panels)
    width = max(inner, title_inches(title), 0.7 + 0.062 * max(len(str(key.get_label())) for key in keys))
    top = 0.42 if title else 0.08
    figure = new_figure((width, top + height + 0.05 + legend_inches(keys, width)), title, keys)
    for panel, (x, y) in zip(panels, places, strict=True):
        _draw_panel(place_axes(figure, (width - inner) / 2 + x, top + y, panel.side, ticks=True), panel)
    return figure


@styled()
def history_figure(histories: Mapping[str, NDArray[np.float64]], title: str = "") -> Figure:
    """The groups' matrices as training went on, (epochs + 1, L, L) by name: a row for each group, a column for each of
    at most eight epochs from 0 to the last, evenly spread.

    Raises SettingError where there is no group.
    """
    check_some(histories, NO_GROUP)
    chosen = chosen_epochs(min(map(len, histories.values())) - 1)
    side, pitch, labels, top = 1.15, 1.23, 0.32, (0.42 if title else 0.08) + 0.24
    inner = labels + len(chosen) * pitch
    width = max(inner, title_inches(title))
    figure = new_figure((width, top + len(histories) * pitch), title)
    for row, (name, history) in enumerate(histories.items()):
        for column, epoch in enumerate(chosen):
            left = (width - inner) / 2 + labels + column * pitch
            axes = place_axes(figure, left, top + row * pitch, side)
            draw_matrix(axes, history[epoch])
            if row == 0:
                axes.set_title(f"epoch {epoch}" if column == 0 else str(epoch), fontsize=8, pad=3)
            if column == 0:
                axes.set_ylabel(name, fontsize=8)
    return figure


def chosen_epochs(last: int) -> tuple[int, ...]:
    """At most eight epochs from 0 to `last`, both included, evenly spread."""
    return tuple(sorted({round(last * i / (HISTORY_COLUMNS - 1)) for i in range(HISTORY_COLUMNS)}))


def short_names(group: str, layers: Sequence[str]) -> tuple[str, ...]:
    """The layers' names without the group's, where that says as much: stage2.1.conv1 -> 1.conv1."""
    prefix = f"{group}."
    within = all(layer.startswith(prefix) for layer in layers)
    return tuple(layer.removeprefix(prefix) if within else layer for layer in layers)


def draw_matrix(axes: Axes, matrix: NDArray[np.float64], digits: float = 0) -> None:
    """The shaded cells, with their numbers in `digits` points where that is not 0."""
    axes.imshow(matrix, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto", origin="upper")
    if digits:
        for (i, j), value in np.ndenumerate(matrix):
            shade = "black" if value > 0.5 else "white"
            axes.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=digits, color=shade)


def _panel(group: GroupLsm) -> Panel:
    """A group with its names, marks and chance level."""
    matrix, chance = np.asarray(group.matrix, dtype=np.float64), group.chance
    marks = beyond_chance(matrix, chance) & (len(matrix) <= MARKS_UP_TO)
    caption = "one layer: no pairs"
    if chance.mean is not None and chance.max is not None and chance.network_q95 is not None:
        caption = f"chance: mean {chance.mean:.2f}, max {chance.max:.2f}, q95 {shown_level(chance.network_q95)}"
    return Panel(group.name, short_names(group.name, group.layers), matrix, marks, caption)


def _layout(panels: Sequence[Panel]) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """The size that the panels need, and the left and top of each one's square, in inches from the top left.

    Panels stand in rows of at most four. From the left: labels, square, gap. From the top: for each row the names, the
    squares, their labels and the captions.
    """
    columns = min(len(panels), PANELS_A_ROW)
    lefts, rights, heights = [], [], []
    for column in range(columns):
        below = panels[column::columns]
        lefts.append(max(max(panel.label_room, panel.overhang) for panel in below))
        rights.append(max(panel.side for panel in below) + max(GAP, *(panel.overhang + 0.05 for panel in below)))
    for start in range(0, len(panels), columns):
        beside = panels[start : start + columns]
        square, labels = max(panel.side for panel in beside), max(panel.label_room for panel in beside)
        heights.append(NAME_ROOM + square + labels + CAPTION_ROOM)
    places = [divmod(index, columns) for index in range(len(panels))]
    return (sum(lefts) + sum(rights), sum(heights)), [
        (sum(lefts[: column + 1]) + sum(rights[:column]), sum(heights[:row]) + NAME_ROOM) for row, column in places
    ]


def _draw_panel(axes: Axes, panel: Panel) -> None:
    """The matrix, names, numbers, a thin frame inside every marked cell, and the chance level."""
    from matplotlib.patches import Rectangle

    count = len(panel.names)
    draw_matrix(axes, panel.matrix, digits=6 if count <= VALUES_UP_TO else 0)
    axes.set_title(panel.name, fontsize=9, pad=5)
    axes.tick_params(length=0, labelsize=7, pad=2)
    if count <= NAMES_UP_TO:
        axes.set_xticks(range(count), panel.names, rotation=90)
        axes.set_yticks(range(count), panel.names)
    for i, j in np.argwhere(panel.marks):
        axes.add_patch(Rectangle((j - 0.43, i - 0.43), 0.86, 0.86, fill=False, edgecolor=MARK, linewidth=0.9))
    y = -(panel.label_room + 0.02) / panel.side
    axes.text(0.5, y, panel.caption, ha="center", va="top", fontsize=7, transform=axes.transAxes)


def _keys(panels: Sequence[Panel]) -> list[Artist]:
    """What the shades, the frames and q95 mean, once for the whole figure."""
    shades = (("black", 0), ("white", 1))
    keys = [patch_key(f"similarity {n}", facecolor=color, edgecolor="black", linewidth=0.6) for color, n in shades]
    if any(panel.marks.any() for panel in panels):
        said = "above q95: in no group of 95 % of untrained networks"
        keys.append(patch_key(said, facecolor="none", edgecolor=MARK, linewidth=0.9))
    elif any(len(panel.names) > 1 for panel in panels):
        said = "q95: 95 % of untrained networks stay below it in all groups"
        keys.append(patch_key(said, facecolor="none", edgecolor="none"))
    return keys
