"""Layer similarity matrices as pictures: white is 1 and black is 0, as in Figures 2 and 8 of the paper.

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701. Every panel says its chance level, without which it
misleads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foldnet.analysis.chance import Chance, beyond_chance, shown_level
from foldnet.drawing.colors import MARK
from foldnet.drawing.figures import draw_legend, draw_title, legend_inches, own_settings, title_inches
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALUES_UP_TO = 16  # layers of a panel whose cells still have room for their number
NAMES_UP_TO = 40  # layers of a panel whose names are still readable
MARKS_UP_TO = 60  # layers of a panel whose frames would not hide the cells
PANELS_A_ROW = 4


class GroupSimilarity(Protocol):
    """One panel: the group's name, its L layers' names, their (L, L) matrix and its chance level."""

    @property
    def name(self) -> str: ...
    @property
    def layers(self) -> Sequence[str]: ...
    @property
    def matrix(self) -> ArrayLike: ...
    @property
    def chance(self) -> Chance: ...


def lsm_figure(groups: Sequence[GroupSimilarity], title: str = "") -> Figure:
    """The groups' matrices side by side, cells above the 95 % chance level framed.

    Raises SettingError where there is no group.
    """
    from matplotlib.figure import Figure

    refuse_nothing(groups)
    labels = [_label_inches(short_names(group.name, group.layers)) for group in groups]
    with own_settings():
        handles = _handles(groups)
        least = max(title_inches(title), 0.7 + 0.062 * max(len(str(handle.get_label())) for handle in handles))
        (width, _), _ = _layout(groups, labels, least, (0.0, 0.0))
        ends = (0.42 if title else 0.08, 0.05 + legend_inches(handles, width))
        (_, height), boxes = _layout(groups, labels, least, ends)
        figure = Figure(figsize=(width, height))
        for group, room, (x, y, side) in zip(groups, labels, boxes, strict=True):
            axes = figure.add_axes((x / width, y / height, side / width, side / height))
            draw_matrix(axes, np.asarray(group.matrix, dtype=np.float64))
            _draw_group(axes, group, (room + 0.02) / side)
        draw_title(figure, title)
        draw_legend(figure, handles)
    return figure


def short_names(group: str, layers: Sequence[str]) -> tuple[str, ...]:
    """The layers' names without the group's, where that says as much: stage2.1.conv1 -> 1.conv1."""
    prefix = f"{group}."
    if all(layer.startswith(prefix) for layer in layers):
        return tuple(layer.removeprefix(prefix) for layer in layers)
    return tuple(layers)


def _panel_inches(layers: int) -> float:
    """The side of a panel."""
    return float(np.clip(0.3 * layers, 1.8, 4.0))


def _label_inches(names: Sequence[str]) -> float:
    """Room for the longest layer name, or for an index where there are too many to name."""
    return 0.15 + 0.062 * (max(map(len, names)) if 0 < len(names) <= NAMES_UP_TO else 4)


def _overhang(group: GroupSimilarity, side: float) -> float:
    """How far the group's name, above its panel, or its chance level, below, reach beyond the panel on either side."""
    return max(0.0, 0.088 * len(group.name) - side, 0.06 * len(_caption(group.chance)) - side) / 2


def _layout(
    groups: Sequence[GroupSimilarity], labels: Sequence[float], least: float, ends: tuple[float, float]
) -> tuple[tuple[float, float], list[tuple[float, float, float]]]:
    """The figure's size, at least `least` wide, and the left, bottom and side of each panel's square, in inches from
    bottom left.

    Panels stand in rows of at most four. From the left: labels, panel, gap. From the top: room for the title, then for
    each row the names, the panels, their labels and the chance level; then room for the legend. `ends` are these two.
    """
    sides = [_panel_inches(len(group.layers)) for group in groups]
    over = [_overhang(group, side) for group, side in zip(groups, sides, strict=True)]
    columns = min(len(sides), PANELS_A_ROW)
    starts = range(0, len(sides), columns)
    gap, name_room, caption_room = 0.25, 0.28, 0.3
    lefts = [max(*labels[column::columns], *over[column::columns]) for column in range(columns)]
    widths = [
        lefts[column] + max(sides[column::columns]) + max(gap, *(some + 0.05 for some in over[column::columns]))
        for column in range(columns)
    ]
    heights = [name_room + max(sides[i : i + columns]) + max(labels[i : i + columns]) + caption_room for i in starts]
    width, height = max(sum(widths), least), sum(ends) + sum(heights)
    margin = (width - sum(widths)) / 2
    boxes = []
    for index, side in enumerate(sides):
        row, column = divmod(index, columns)
        x = margin + sum(widths[:column]) + lefts[column]
        boxes.append((x, height - ends[0] - sum(heights[:row]) - name_room - side, side))
    return (width, height), boxes


def draw_matrix(axes: Axes, matrix: NDArray[np.float64]) -> None:
    """The shaded cells."""
    axes.imshow(matrix, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto")


def _draw_group(axes: Axes, group: GroupSimilarity, caption_at: float) -> None:
    """Names, numbers, marks and the chance level of one panel."""
    names = short_names(group.name, group.layers)
    axes.set_title(group.name, fontsize=9, pad=5)
    axes.tick_params(length=0, labelsize=7, pad=2)
    if len(names) <= NAMES_UP_TO:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    matrix = np.asarray(group.matrix, dtype=np.float64)
    if len(names) <= VALUES_UP_TO:
        for (i, j), value in np.ndenumerate(matrix):
            shade = "black" if value > 0.5 else "white"
            axes.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=6, color=shade)
    _draw_marks(axes, _marks(group))
    axes.text(0.5, -caption_at, _caption(group.chance), ha="center", va="top", fontsize=7, transform=axes.transAxes)


def _draw_marks(axes: Axes, marks: NDArray[np.bool_]) -> None:
    """A thin frame inside every marked cell."""
    from matplotlib.patches import Rectangle

    for i, j in np.argwhere(marks):
        frame = Rectangle((j - 0.43, i - 0.43), 0.86, 0.86, fill=False, edgecolor=MARK, linewidth=0.9)
        axes.add_patch(frame)


def _handles(groups: Sequence[GroupSimilarity]) -> list[Artist]:
    """What the shades, the frames and q95 mean, once for the whole figure."""
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor="black", edgecolor="black", linewidth=0.6, label="similarity 0"),
        Patch(facecolor="white", edgecolor="black", linewidth=0.6, label="similarity 1"),
    ]
    if any(_marks(group).any() for group in groups):
        said = "above q95: in no group of 95 % of untrained networks"
        handles.append(Patch(facecolor="none", edgecolor=MARK, linewidth=0.9, label=said))
    elif any(len(group.layers) > 1 for group in groups):
        said = "q95: 95 % of untrained networks stay below it in all groups"
        handles.append(Patch(facecolor="none", edgecolor="none", label=said))
    return handles


def _marks(group: GroupSimilarity) -> NDArray[np.bool_]:
    """Which pairs of different layers are framed, being beyond chance as the tables' stars are: (L, L)."""
    matrix = np.asarray(group.matrix, dtype=np.float64)
    if len(matrix) > MARKS_UP_TO:
        return np.zeros(matrix.shape, dtype=bool)
    return beyond_chance(matrix, group.chance)


def _caption(chance: Chance) -> str:
    """The chance level in one line."""
    if chance.mean is None or chance.max is None or chance.network_q95 is None:
        return "one layer: no pairs"
    return f"chance: mean {chance.mean:.2f}, max {chance.max:.2f}, q95 {shown_level(chance.network_q95)}"


def refuse_nothing(groups: Sequence[object]) -> None:
    """Raise SettingError where there is no group to draw."""
    if not groups:
        raise SettingError(
            "there is no group of layers to draw; a network without shared layers has no similarity matrix"
        )
