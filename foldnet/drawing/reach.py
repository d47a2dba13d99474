"""How far networks reach: F1 and whole-path accuracy, against steps and against the length of the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldnet.drawing.colors import distinct
from foldnet.drawing.figures import draw_legend, draw_title, dress_axes, legend_inches, own_settings
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHED = (0, (4, 2))


@dataclass(frozen=True, slots=True)
class ReachCurve:
    """One network: (steps, F1, whole) as it is and recalibrated, the steps as found, and (length, F1, whole) by length
    of path."""

    name: str
    by_steps: tuple[tuple[int, float, float], ...]
    recalibrated: tuple[tuple[int, float, float], ...]
    found: int | None
    by_length: tuple[tuple[float, float, float], ...]


def reach_figure(curves: Sequence[ReachCurve], title: str = "") -> Figure:
    """Four panels; a network that cannot run longer is a diamond. Dashed is with batch norm estimated anew, a tick what
    was found.

    Raises SettingError where there is nothing to draw.
    """
    from matplotlib.figure import Figure

    if not curves:
        raise SettingError("there is no network whose reach could be drawn; name runs or folds")
    with own_settings():
        handles = _handles(curves)
        width, bottom = 7.4, 0.5 + legend_inches(handles, 7.4)
        height = 4.5 + bottom
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(2, 2, sharex="col")
        figure.subplots_adjust(
            left=0.085, right=0.98, bottom=bottom / height, top=1 - 0.45 / height, wspace=0.16, hspace=0.12
        )
        for row, label in enumerate(("F1", "grids wholly right")):
            for index, curve in enumerate(curves):
                color = distinct(index)
                _draw_steps(panels[row][0], curve, 1 + row, color)
                panels[row][1].plot(
                    [point[0] for point in curve.by_length],
                    [point[1 + row] for point in curve.by_length],
                    color=color, marker="o", markersize=3, linewidth=1.2, linestyle="-",
                )  # fmt: skip
            dress_axes(panels[row][0], "steps" if row else "", label, whole=True)
            dress_axes(panels[row][1], "steps of the shortest path" if row else "", "", whole=True)
            for axes in panels[row]:
                axes.set_ylim(-0.03, 1.03)
        draw_legend(figure, handles)
        draw_title(figure, title)
    return figure


def _draw_steps(axes: Axes, curve: ReachCurve, column: int, color: str) -> None:
    """Scores of one network against its steps."""
    if curve.found is None:
        for steps, *scores in curve.by_steps:
            axes.plot([steps], [scores[column - 1]], color=color, marker="D", markersize=5, linestyle="")
        return
    for points, style, face in ((curve.by_steps, "-", color), (curve.recalibrated, DASHED, "white")):
        axes.plot(
            [point[0] for point in points], [point[column] for point in points],
            color=color, linestyle=style, linewidth=1.2, marker="o", markersize=3.5, markerfacecolor=face,
        )  # fmt: skip
    for point in curve.by_steps:
        if point[0] == curve.found:
            axes.plot([point[0]], [point[column]], marker="|", markersize=13, markeredgewidth=2, color=color)


def _handles(curves: Sequence[ReachCurve]) -> list[Artist]:
    """Networks, then what lines and ticks mean."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=distinct(index), linewidth=1.2, linestyle="-",
               marker="D" if curve.found is None else "o", markersize=4, label=curve.name)
        for index, curve in enumerate(curves)
    ]  # fmt: skip
    if any(curve.recalibrated for curve in curves):
        handles.append(Line2D([], [], color="black", linewidth=1.2, linestyle=DASHED, label="recalibrated"))
    if any(curve.found is not None for curve in curves):
        handles.append(Line2D([], [], color="black", linestyle="", marker="|", markersize=9, label="as found"))
    return handles
