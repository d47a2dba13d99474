"""The depth dial: accuracy against the number of trips through a loop, from the fewest that were tried to the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        handles = _handles(loops, series, ticked=bool(trips))
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


def _handles(loops: Mapping[str, Mapping[str, Curve]], series: Sequence[str], *, ticked: bool) -> list[Artist]:
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
