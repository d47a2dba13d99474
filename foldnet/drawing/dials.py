"""The depth dial: accuracy against the number of trips through a loop, from the fewest that were tried to the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foldnet.drawing.colors import distinct
from foldnet.drawing.figures import draw_legend, draw_title, dress_axes, legend_inches, own_settings, title_inches
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Of the series of each loop: the first solid and filled, the others hollow.
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("o", "o", "s", "^")
TICKS = 12  # more whole numbers than this along x would lie on each other

Curve = Sequence[tuple[int, float]]  # (trips, accuracy 0..1)


def depth_figure(
    loops: Mapping[str, Mapping[str, Curve]],
    title: str = "",
    *,
    found: Mapping[str, int] | None = None,
    measure: str = "accuracy",
) -> Figure:
    """Accuracy (or what its data's `measure` is called) against the number of trips through each loop, the other loops
    left as they are.

    `loops` holds the series that were measured of each loop, such as "as folded" and "recalibrated": a colour a loop, a
    line style a series. A vertical tick marks the trips that folding found (`found`, by loop). The axis has a number at
    both ends. Raises SettingError where there is nothing to draw and where `found` names a loop without a curve.
    """
    from matplotlib.figure import Figure

    trips = found or {}
    _check_depth(loops, trips)
    series = tuple(dict.fromkeys(name for curves in loops.values() for name, curve in curves.items() if curve))
    with own_settings():
        handles = _depth_handles(loops, series, ticked=bool(trips))
        width = max(4.6, title_inches(title))
        bottom, top = 0.5 + legend_inches(handles, width), 0.42 if title else 0.1
        figure = Figure(figsize=(width, 2.6 + bottom + top))
        height = figure.get_figheight()
        axes = figure.subplots()
        figure.subplots_adjust(left=0.62 / width, right=1 - 0.12 / width, bottom=bottom / height, top=1 - top / height)
        for index, (loop, curves) in enumerate(loops.items()):
            for number, name in enumerate(series):
                _draw_curve(axes, curves.get(name, ()), distinct(index), number)
                if loop in trips:
                    _draw_found(axes, curves.get(name, ()), trips[loop], distinct(index))
        axes.margins(x=0.05, y=0.12)
        dress_axes(axes, "trips through the loop", f"{measure} (%)", whole=True)
        tried = [trip for curves in loops.values() for curve in curves.values() for trip, _ in curve]
        axes.set_xticks(_ticks(min(tried), max(tried)))
        draw_legend(figure, handles)
        draw_title(figure, title)
    return figure


def _check_depth(loops: Mapping[str, Mapping[str, Curve]], named: Mapping[str, int]) -> None:
    """Refuse what cannot be drawn."""
    if not any(curve for curves in loops.values() for curve in curves.values()):
        raise SettingError("there is no curve to draw; a program without loops has no trips to vary")
    for name in named:
        if name not in loops:
            raise SettingError(f"loop '{name}' has no curve; the curves are of {', '.join(loops)}")


def _ticks(least: int, most: int) -> list[int]:
    """Whole numbers from the first to the last, both included, evenly spread where they are many."""
    count = min(most - least + 1, TICKS)
    return sorted({round(least + (most - least) * index / max(count - 1, 1)) for index in range(count)})


def _draw_curve(axes: Axes, curve: Curve, color: str, series: int) -> None:
    """One curve in %, a marker at each measurement."""
    axes.plot(
        [trip for trip, _ in curve], [100 * accuracy for _, accuracy in curve], color=color, linewidth=1.3,
        linestyle=DASHES[series % len(DASHES)], marker=MARKERS[series % len(MARKERS)], markersize=3.5,
        markerfacecolor="white" if series else color,
    )  # fmt: skip


def _draw_found(axes: Axes, curve: Curve, trips: int, color: str) -> None:
    """A vertical tick on the curve at the trips that were found, between two measurements too."""
    if curve:
        measured = sorted(curve)
        y = np.interp(trips, [trip for trip, _ in measured], [100 * accuracy for _, accuracy in measured])
        axes.plot([trips], [y], marker="|", markersize=13, markeredgewidth=2.0, color=color, linestyle="")


def _depth_handles(loops: Mapping[str, Mapping[str, Curve]], series: Sequence[str], *, ticked: bool) -> list[Artist]:
    """The loops, and what line styles and ticks mean."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=distinct(index), linewidth=1.3, linestyle="-", marker="", label=name)
        for index, name in enumerate(loops)
    ]
    handles += [
        Line2D([], [], color="black", linewidth=1.3, linestyle=DASHES[number % len(DASHES)],
               marker=MARKERS[number % len(MARKERS)], markersize=3.5, label=name,
               markerfacecolor="white" if number else "black")
        for number, name in enumerate(series)
    ]  # fmt: skip
    if ticked:
        handles.append(Line2D([], [], color="black", linestyle="", marker="|", markersize=9, label="trips found"))
    return handles


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
        handles = _reach_handles(curves)
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


def _reach_handles(curves: Sequence[ReachCurve]) -> list[Artist]:
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
