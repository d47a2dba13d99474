"""Accuracy as curves: against the weights that a fold stores, and against the number of trips through a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from foldnet.drawing.colors import LOOP_COLORS, PLAIN, RING, UNIT_LINES, distinct
from foldnet.drawing.figures import draw_legend, draw_title, dress_axes, title_inches
from foldnet.drawing.heatmaps import _style
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK_FROM = 3  # the first of them on which a number must be white
UNIT_MARKERS = {"layer": "o", "block": "s"}
OTHER_MARKERS = ("D", "^", "v")  # of units that are neither
ZOOM_BELOW = 0.10  # a sweep that falls further below soft than this is drawn a second time, near soft
ZOOM_SPAN = 0.04


class SweepPoint(Protocol):
    """One fold of a sweep."""

    @property
    def accuracy(self) -> float: ...  # 0..1, on the validation images, recalibrated
    @property
    def stored_numbers(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def loops(self) -> int: ...
    @property
    def merged(self) -> str: ...
    @property
    def height(self) -> float | None: ...


Curve = Sequence[tuple[int, float]]  # (trips, accuracy 0..1)


def sweep_figure(
    points_by_unit: Mapping[str, Sequence[SweepPoint]],
    soft: float,
    title: str = "",
    knee: SweepPoint | None = None,
    *,
    dense: int | None = None,
    measure: str = "accuracy",
) -> Figure:
    """Accuracy (or what its data's `measure` is called) against the shared weight numbers that each fold stores, a curve for each unit that was clustered.

    The number in a marker, and its colour, is how many loops the program has; a small one has none. The line is
    `soft`, the accuracy (0..1) of the network before folding; `knee`, one of the points, is ringed. With `dense`,
    the numbers that all layers had when written out, x is a share of it. A sweep that falls more than 10 points
    below soft is drawn twice: whole, and near soft. Raises SettingError where there is nothing to draw, where
    `knee` is no point of the sweep and where `dense` is not positive.
    """
    from matplotlib.figure import Figure

    points = [point for some in points_by_unit.values() for point in some]
    _check_sweep(points, knee, dense)
    scale, unit = _scale([point.stored_numbers for point in points], dense)
    zoomed = min(point.accuracy for point in points) < soft - ZOOM_BELOW
    with _style():
        panels, top = 2 if zoomed else 1, (0.42 if title else 0.1) + (0.2 if zoomed else 0.0)
        width, height = max(0.9 + 3.3 * panels, title_inches(title)), 3.4 + top
        figure = Figure(figsize=(width, height))
        grid: Any = figure.subplots(1, panels, squeeze=False)
        figure.subplots_adjust(
            left=0.62 / width, right=1 - 0.12 / width, bottom=1.0 / height, top=1 - top / height, wspace=0.22
        )
        for index, axes in enumerate(grid[0]):
            _draw_sweep(axes, points_by_unit, soft, knee, scale)
            dress_axes(axes, f"shared weights stored ({unit})", f"validation {measure} (%)" if index == 0 else "")
        if zoomed:
            grid[0][0].set_title("the whole sweep", fontsize=8, pad=4)
            grid[0][1].set_title("near soft", fontsize=8, pad=4)
            _zoom(grid[0][1], points, soft, soft if knee is None else knee.accuracy, scale)
        _draw_sweep_legend(figure, points_by_unit, points, knee)
        draw_title(figure, title)
    return figure


def depth_figure(
    curves: Mapping[str, Curve],
    title: str = "",
    *,
    found: Mapping[str, int] | None = None,
    recalibrated: Mapping[str, Curve] | None = None,
    measure: str = "accuracy",
) -> Figure:
    """Accuracy (or what its data's `measure` is called) against the number of trips through each loop, the other loops left as they are.

    A vertical tick marks the trips that folding found (`found`, by loop); curves of `recalibrated` are dashed,
    in the colour of their loop. Raises SettingError where there is nothing to draw and where `found` or
    `recalibrated` names a loop without a curve.
    """
    from matplotlib.figure import Figure

    again, trips = recalibrated or {}, found or {}
    _check_depth(curves, (*trips, *again))
    with _style():
        figure = Figure(figsize=(max(4.6, title_inches(title)), 3.4))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.13, right=0.97, bottom=0.3, top=0.88 if title else 0.96)
        for index, (name, curve) in enumerate(curves.items()):
            color = distinct(index)
            _draw_curve(axes, curve, color, label=name)
            if name in again:
                _draw_curve(axes, again[name], color, linestyle=(0, (4, 2)), markerfacecolor="white")
            if name in trips:
                for each in (curve, *([again[name]] if name in again else [])):
                    _draw_found(axes, each, trips[name], color)
        axes.margins(x=0.05, y=0.12)
        dress_axes(axes, "trips through the loop", f"{measure} (%)", whole=True)
        _draw_depth_legend(figure, curves, dashed=bool(again), ticked=bool(trips))
        draw_title(figure, title)
    return figure


def _check_sweep(points: Sequence[SweepPoint], knee: SweepPoint | None, dense: int | None) -> None:
    """Refuse what cannot be drawn."""
    if not points:
        raise SettingError("there is no point of a sweep to draw; sweep a run with shared layers first")
    if knee is not None and knee not in points:
        raise SettingError("the knee is not one of the points of the sweep; give one of those that are drawn")
    if dense is not None and dense < 1:
        raise SettingError(f"dense is {dense}; give the numbers in the written-out weights, or leave it out")


def _check_depth(curves: Mapping[str, Curve], named: Sequence[str]) -> None:
    """Refuse what cannot be drawn."""
    if not any(len(curve) for curve in curves.values()):
        raise SettingError("there is no curve to draw; a program without loops has no trips to vary")
    for name in named:
        if name not in curves:
            raise SettingError(f"loop '{name}' has no curve; the curves are of {', '.join(curves)}")


def _scale(stored: Sequence[int], dense: int | None) -> tuple[float, str]:
    """By what to multiply numbers stored, and what the axis says of it."""
    if dense is not None:
        return 100 / dense, "% of dense"
    return (1e-6, "M") if max(stored) >= 1e6 else (1e-3, "K")


def _draw_sweep(
    axes: Axes,
    points_by_unit: Mapping[str, Sequence[SweepPoint]],
    soft: float,
    knee: SweepPoint | None,
    scale: float,
) -> None:
    """The line of soft, then for each unit a line, markers and how many loops they stand for."""
    axes.axhline(100 * soft, color=PLAIN, linewidth=0.9, linestyle=(0, (5, 3)), marker="", zorder=1)
    for index, (unit, points) in enumerate(points_by_unit.items()):
        places = [(scale * point.stored_numbers, 100 * point.accuracy) for point in points]
        line = UNIT_LINES[index % len(UNIT_LINES)]
        axes.plot(*zip(*places, strict=True) if places else ([], []), color=line, linewidth=1.0, marker="", zorder=2)
        for point, (x, y) in zip(points, places, strict=True):
            axes.plot(
                [x], [y], marker=_marker(unit, index), markersize=_marker_size(point.loops), linestyle="",
                markeredgewidth=0.8, markeredgecolor=line, markerfacecolor=_loop_color(point.loops), zorder=3,
            )  # fmt: skip
            if point.loops:
                shade = "white" if point.loops >= DARK_FROM else "black"
                axes.text(
                    x, y, str(point.loops), color=shade, fontsize=5.5, ha="center", va="center_baseline",
                    zorder=3, clip_on=True,
                )  # fmt: skip
    axes.margins(0.06)
    if knee is not None:
        axes.plot(
            [scale * knee.stored_numbers], [100 * knee.accuracy], marker="o", markersize=14, linestyle="",
            markerfacecolor="none", markeredgecolor=RING, markeredgewidth=1.6, zorder=5,
        )  # fmt: skip


def _zoom(axes: Axes, points: Sequence[SweepPoint], soft: float, lowest: float, scale: float) -> None:
    """Show only the points near soft, down to `lowest` at least, and leave room around them."""
    span = max(ZOOM_SPAN, soft - lowest)
    near = [point for point in points if point.accuracy >= soft - span - 1e-9]
    highest = max([soft, *(point.accuracy for point in near)])
    axes.set_ylim(100 * (soft - span * 1.1), 100 * (highest + span * 0.15))
    if near:
        stored = [scale * point.stored_numbers for point in near]
        room = 0.08 * (max(stored) - min(stored)) or 0.1 * max(stored) or 1.0
        axes.set_xlim(min(stored) - room, max(stored) + room)


def _draw_curve(axes: Axes, curve: Curve, color: str, **style: Any) -> None:
    """One curve in %, a marker at each measurement."""
    trips = [trip for trip, _ in curve]
    settings: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.3, "linestyle": "-", **style}
    axes.plot(trips, [100 * accuracy for _, accuracy in curve], color=color, **settings)


def _draw_found(axes: Axes, curve: Curve, trips: int, color: str) -> None:
    """A vertical tick on the curve at the trips that were found, between two measurements too."""
    if curve:
        measured = sorted(curve)
        y = np.interp(trips, [trip for trip, _ in measured], [100 * accuracy for _, accuracy in measured])
        axes.plot([trips], [y], marker="|", markersize=13, markeredgewidth=2.0, color=color, linestyle="")


def _draw_sweep_legend(
    figure: Figure,
    points_by_unit: Mapping[str, Sequence[SweepPoint]],
    points: Sequence[SweepPoint],
    knee: SweepPoint | None,
) -> None:
    """What shapes, colours and lines mean."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=UNIT_LINES[index % len(UNIT_LINES)], linewidth=1.0, marker=_marker(unit, index),
               markersize=6, markerfacecolor="white", label=f"clustered by {unit}")
        for index, unit in enumerate(points_by_unit)
    ]  # fmt: skip
    handles.append(Line2D([], [], color=PLAIN, linewidth=0.9, linestyle=(0, (5, 3)), marker="", label="soft"))
    if knee is not None:
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=9, markerfacecolor="none",
                              markeredgecolor=RING, markeredgewidth=1.4, label="knee"))  # fmt: skip
    for loops in sorted({min(point.loops, len(LOOP_COLORS) - 1) for point in points}):
        more = " or more" if loops == len(LOOP_COLORS) - 1 else ""
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=_marker_size(loops) - 2,
                              markerfacecolor=_loop_color(loops), markeredgecolor="#8a9099",
                              label=f"{loops}{more} {'loop' if loops == 1 else 'loops'}"))  # fmt: skip
    draw_legend(figure, handles)


def _draw_depth_legend(figure: Figure, curves: Mapping[str, Curve], *, dashed: bool, ticked: bool) -> None:
    """The loops, and what dashes and ticks mean."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=distinct(index), linewidth=1.3, marker="o", markersize=3.5, label=name)
        for index, name in enumerate(curves)
    ]
    if dashed:
        handles.append(
            Line2D([], [], color="black", linewidth=1.3, linestyle=(0, (4, 2)), marker="", label="recalibrated")
        )
    if ticked:
        handles.append(Line2D([], [], color="black", linestyle="", marker="|", markersize=9, label="trips found"))
    draw_legend(figure, handles)


def _marker(unit: str, index: int) -> str:
    """The shape of a unit's markers."""
    return UNIT_MARKERS.get(unit, OTHER_MARKERS[index % len(OTHER_MARKERS)])


def _marker_size(loops: int) -> float:
    """Small where nothing loops: those points lie close, since merging saves nothing until owners are few."""
    return 8.5 if loops else 5.0


def _loop_color(loops: int) -> str:
    """The colour of a number of loops."""
    return LOOP_COLORS[min(loops, len(LOOP_COLORS) - 1)]
