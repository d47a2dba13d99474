"""A sweep: accuracy against the weights that a fold stores, merge by merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foldnet.drawing.colors import BOX_LINE, LOOP_COLORS, PLAIN, RING, UNIT_LINES
from foldnet.drawing.figures import draw_legend, draw_title, dress_axes, legend_inches, own_settings, title_inches
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foldnet.choosing.sweep import SweepPoint

DARK_FROM = 3  # the first of the colours of loops on which a number must be white
UNIT_MARKERS = {"layer": "o", "block": "s"}
OTHER_MARKERS = ("D", "^", "v")  # of units that are neither
ZOOM_BELOW = 0.10  # a sweep that falls further below soft than this is drawn a second time, near soft
ZOOM_SPAN = 0.04
DEVIATIONS = 1.96  # of a normal distribution: 95 % lie within


def sweep_figure(
    points_by_unit: Mapping[str, Sequence[SweepPoint]],
    soft: float,
    title: str = "",
    knees: Mapping[str, SweepPoint] | None = None,
    *,
    dense: int | None = None,
    measure: str = "accuracy",
    images: int | None = None,
) -> Figure:
    """Accuracy (or what its data's `measure` is called) against the shared weight numbers that each fold stores, a
    curve for each unit.

    The number in a marker, and its colour, is how many loops the program has; a small one has none. The line is `soft`,
    the accuracy (0..1) of the network before folding; the `knees`, one of the points of a unit each, are ringed. Bars
    are 95 % intervals where accuracy is a share of `images`. With `dense`, the numbers that all layers had when written
    out, x is a share of it. A sweep that falls more than 10 points below soft is drawn twice: whole, and near soft.
    Raises SettingError where there is nothing to draw, where a knee is no point of its unit's and where `dense` is not
    positive.
    """
    from matplotlib.figure import Figure

    knees = knees or {}
    points = [point for some in points_by_unit.values() for point in some]
    _check_sweep(points_by_unit, knees, dense)
    scale, unit = _scale([point.stored_numbers for point in points], dense)
    lowest = min(point.accuracy for point in points)
    with own_settings():
        panels = 2 if lowest < soft - ZOOM_BELOW else 1
        width, top = max(0.9 + 3.3 * panels, title_inches(title)), (0.42 if title else 0.1) + 0.2 * (panels - 1)
        handles = _handles(points_by_unit, points, knees, images)
        bottom = 0.5 + legend_inches(handles, width)
        figure = Figure(figsize=(width, 2.6 + top + bottom))
        height = figure.get_figheight()
        grid: Any = figure.subplots(1, panels, squeeze=False)
        figure.subplots_adjust(
            left=0.62 / width, right=1 - 0.12 / width, bottom=bottom / height, top=1 - top / height, wspace=0.22
        )
        for index, axes in enumerate(grid[0]):
            _draw_sweep(axes, points_by_unit, soft, knees, scale, images)
            dress_axes(axes, f"shared weights stored ({unit})", f"validation {measure} (%)" if index == 0 else "")
        if panels > 1:
            grid[0][0].set_title("the whole sweep", fontsize=8, pad=4)
            grid[0][1].set_title("near soft", fontsize=8, pad=4)
            _zoom(grid[0][1], points, soft, min([soft, *(knee.accuracy for knee in knees.values())]), scale)
        draw_legend(figure, handles)
        draw_title(figure, title)
    return figure


def interval(accuracy: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `images`, which has a width at 0 and 1 too."""
    squared = DEVIATIONS**2 / images
    middle = (accuracy + squared / 2) / (1 + squared)
    half = (squared * (accuracy * (1 - accuracy) + squared / 4)) ** 0.5 / (1 + squared)
    return middle - half, middle + half


def _check_sweep(
    points_by_unit: Mapping[str, Sequence[SweepPoint]], knees: Mapping[str, SweepPoint], dense: int | None
) -> None:
    """Refuse what cannot be drawn."""
    if not any(points_by_unit.values()):
        raise SettingError("there is no point of a sweep to draw; sweep a run with shared layers first")
    for unit, knee in knees.items():
        if knee not in points_by_unit.get(unit, ()):
            raise SettingError(
                f"the knee by {unit} is not one of the points by {unit}; give one of those that are drawn"
            )
    if dense is not None and dense < 1:
        raise SettingError(f"dense is {dense}; give the numbers in the written-out weights, or leave it out")


def _scale(stored: Sequence[int], dense: int | None) -> tuple[float, str]:
    """By what to multiply numbers stored, and what the axis says of it."""
    if dense is not None:
        return 100 / dense, "% of dense"
    return (1e-6, "M") if max(stored) >= 1e6 else (1e-3, "K")


def _draw_sweep(
    axes: Axes,
    points_by_unit: Mapping[str, Sequence[SweepPoint]],
    soft: float,
    knees: Mapping[str, SweepPoint],
    scale: float,
    images: int | None,
) -> None:
    """The line of soft, then for each unit a line, bars, markers, how many loops they stand for, and the knee's
    ring."""
    axes.axhline(100 * soft, color=PLAIN, linewidth=0.9, linestyle=(0, (5, 3)), marker="", zorder=1)
    for index, (unit, points) in enumerate(points_by_unit.items()):
        places = [(scale * point.stored_numbers, 100 * point.accuracy) for point in points]
        line = UNIT_LINES[index % len(UNIT_LINES)]
        axes.plot(*zip(*places, strict=True) if places else ([], []), color=line, linewidth=1.0, marker="", zorder=2)
        for point, (x, y) in zip(points, places, strict=True):
            if images:
                low, high = interval(point.accuracy, images)
                axes.plot(
                    [x, x], [100 * low, 100 * high], color=line, linewidth=0.7, linestyle="-", alpha=0.6,
                    marker="_", markersize=4, zorder=1.5,
                )  # fmt: skip
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
    for knee in knees.values():
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


def _handles(
    points_by_unit: Mapping[str, Sequence[SweepPoint]],
    points: Sequence[SweepPoint],
    knees: Mapping[str, SweepPoint],
    images: int | None,
) -> list[Artist]:
    """What shapes, colours, lines and bars mean."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=UNIT_LINES[index % len(UNIT_LINES)], linewidth=1.0, marker=_marker(unit, index),
               markersize=6, markerfacecolor="white", label=f"clustered by {unit}")
        for index, unit in enumerate(points_by_unit)
    ]  # fmt: skip
    handles.append(Line2D([], [], color=PLAIN, linewidth=0.9, linestyle=(0, (5, 3)), marker="", label="soft"))
    if knees:
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=9, markerfacecolor="none",
                              markeredgecolor=RING, markeredgewidth=1.4, label="knee"))  # fmt: skip
    for loops in sorted({min(point.loops, len(LOOP_COLORS) - 1) for point in points}):
        more = " or more" if loops == len(LOOP_COLORS) - 1 else ""
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=_marker_size(loops) - 2,
                              markerfacecolor=_loop_color(loops), markeredgecolor=BOX_LINE,
                              label=f"{loops}{more} {'loop' if loops == 1 else 'loops'}"))  # fmt: skip
    if images:
        bar = Line2D(
            [], [], linestyle="", marker="|", markersize=9, color=BOX_LINE, label=f"95 % interval, {images} images"
        )
        handles.append(bar)
    return handles


def _marker(unit: str, index: int) -> str:
    """The shape of a unit's markers."""
    return UNIT_MARKERS.get(unit, OTHER_MARKERS[index % len(OTHER_MARKERS)])


def _marker_size(loops: int) -> float:
    """Small where nothing loops: those points lie close, since merging saves nothing until owners are few."""
    return 8.5 if loops else 5.0


def _loop_color(loops: int) -> str:
    """The colour of a number of loops."""
    return LOOP_COLORS[min(loops, len(LOOP_COLORS) - 1)]
