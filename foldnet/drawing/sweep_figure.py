"""A sweep: accuracy against the weights that a fold stores, merge by merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foldnet.drawing.colors import BOX_LINE, LOOP_COLORS, PLAIN, RING, UNIT_LINES
from foldnet.drawing.figures import check_some, dress_axes, line_key, panels, styled
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
SOFT = {"color": PLAIN, "linewidth": 0.9, "linestyle": (0, (5, 3))}
KNEE = {"linestyle": "", "marker": "o", "markerfacecolor": "none", "markeredgecolor": RING}

Points = Mapping[str, Sequence["SweepPoint"]]  # by unit


@styled()
def sweep_figure(
    points_by_unit: Points,
    soft: float,
    title: str = "",
    knees: Mapping[str, SweepPoint] | None = None,
    *,
    dense: int | None = None,
    measure: str = "accuracy",
    images: int | None = None,
    percent: bool = True,
) -> Figure:
    """Accuracy (or what its data's `measure` is called) against the shared weight numbers that each fold stores, a
    curve for each unit.

    The number in a marker, and its colour, is how many loops the program has; a small one has none. The line is `soft`,
    the score of the network before folding; the `knees`, one of the points of a unit each, are ringed. Bars
    are 95 % intervals where accuracy is a share of `images`. With `dense`, the numbers that all layers had when written
    out, x is a share of it. With `percent` scores are shares, 0..1, and a sweep that falls more than 10 points below
    soft is drawn twice: whole, and near soft. Raises SettingError where there is nothing to draw and where `dense` is
    not positive.
    """
    knees = knees or {}
    points = [point for some in points_by_unit.values() for point in some]
    check_some(points, "there is no point of a sweep to draw; sweep a run with shared layers first")
    if dense is not None and dense < 1:
        raise SettingError(f"dense is {dense}; give the numbers in the written-out weights, or leave it out")
    scale, unit = _scale(max(point.stored_numbers for point in points), dense)
    high, label = (100, f"validation {measure} (%)") if percent else (1, f"validation {measure}")
    zoomed = percent and min(point.score for point in points) < soft - ZOOM_BELOW
    keys = list(_keys(points_by_unit, points, images, knees=bool(knees)))
    figure, (grid,) = panels(1, 1 + zoomed, (4.2 + 3.3 * zoomed, 2.6), title, keys, top=0.2 * zoomed)
    for index, axes in enumerate(grid):
        axes.axhline(high * soft, zorder=1, marker="", **SOFT)
        _draw_points(axes, points_by_unit, scale, high, images)
        axes.margins(0.06)
        for knee in knees.values():
            place = [scale * knee.stored_numbers], [high * knee.score]
            axes.plot(*place, markersize=14, markeredgewidth=1.6, zorder=5, **KNEE)
        dress_axes(axes, f"shared weights stored ({unit})", label if index == 0 else "")
        if zoomed:
            axes.set_title(("the whole sweep", "near soft")[index], fontsize=8, pad=4)
    if zoomed:
        _zoom(grid[1], points, soft, min([soft, *(knee.score for knee in knees.values())]), scale)
    return figure


def interval(accuracy: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `images`, which has a width at 0 and 1 too."""
    squared = DEVIATIONS**2 / images
    middle = (accuracy + squared / 2) / (1 + squared)
    half = (squared * (accuracy * (1 - accuracy) + squared / 4)) ** 0.5 / (1 + squared)
    return middle - half, middle + half


def _scale(most: int, dense: int | None) -> tuple[float, str]:
    """By what to multiply numbers stored, `most` at most, and what the axis says of it."""
    if dense is not None:
        return 100 / dense, "% of dense"
    return (1e-6, "M") if most >= 1e6 else (1e-3, "K")


def _draw_points(axes: Axes, points_by_unit: Points, scale: float, high: int, images: int | None) -> None:
    """For each unit a line, and for each point its bar, its marker, and how many loops it stands for."""
    for index, (unit, points) in enumerate(points_by_unit.items()):
        xs, ys = [scale * point.stored_numbers for point in points], [high * point.score for point in points]
        line, shape = _line_and_marker(unit, index)
        axes.plot(xs, ys, color=line, linewidth=1.0, marker="", zorder=2)
        for point, x, y in zip(points, xs, ys, strict=True):
            if images:
                ends = [high * end for end in interval(point.score, images)]
                bar: dict[str, Any] = {"linewidth": 0.7, "linestyle": "-", "alpha": 0.6, "marker": "_", "markersize": 4}
                axes.plot([x, x], ends, color=line, zorder=1.5, **bar)
            style: dict[str, Any] = {"markeredgewidth": 0.8, "markeredgecolor": line, **_dot(point.loops)}
            axes.plot([x], [y], marker=shape, markersize=_dot_size(point.loops), zorder=3, **style)
            if point.loops:
                shade = "white" if point.loops >= DARK_FROM else "black"
                where: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 3, "clip_on": True}
                axes.text(x, y, str(point.loops), color=shade, fontsize=5.5, **where)


def _zoom(axes: Axes, points: Sequence[SweepPoint], soft: float, lowest: float, scale: float) -> None:
    """Show only the points near soft, down to `lowest` at least, and leave room around them."""
    span = max(ZOOM_SPAN, soft - lowest)
    near = [point for point in points if point.score >= soft - span - 1e-9]
    highest = max([soft, *(point.score for point in near)])
    axes.set_ylim(100 * (soft - span * 1.1), 100 * (highest + span * 0.15))
    if near:
        stored = [scale * point.stored_numbers for point in near]
        room = 0.08 * (max(stored) - min(stored)) or 0.1 * max(stored) or 1.0
        axes.set_xlim(min(stored) - room, max(stored) + room)


def _keys(points_by_unit: Points, points: Sequence[SweepPoint], images: int | None, *, knees: bool) -> Iterator[Artist]:
    """What shapes, colours, lines and bars mean."""
    for index, unit in enumerate(points_by_unit):
        line, shape = _line_and_marker(unit, index)
        style = {"linewidth": 1.0, "markersize": 6, "markerfacecolor": "white"}
        yield line_key(f"clustered by {unit}", color=line, marker=shape, **style)
    yield line_key("soft", **SOFT)
    if knees:
        yield line_key("knee", markersize=9, markeredgewidth=1.4, **KNEE)
    most = len(LOOP_COLORS) - 1
    for loops in sorted({min(point.loops, most) for point in points}):
        said = f"{loops}{' or more' * (loops == most)} {'loop' if loops == 1 else 'loops'}"
        yield line_key(said, marker="o", markersize=_dot_size(loops) - 2, markeredgecolor=BOX_LINE, **_dot(loops))
    if images:
        yield line_key(f"95 % interval, {images} images", linestyle="", marker="|", markersize=9, color=BOX_LINE)


def _line_and_marker(unit: str, index: int) -> tuple[str, str]:
    """The colour of a unit's line, and the shape of its markers."""
    return UNIT_LINES[index % len(UNIT_LINES)], UNIT_MARKERS.get(unit, OTHER_MARKERS[index % len(OTHER_MARKERS)])


def _dot(loops: int) -> dict[str, str]:
    """A marker in the colour of a number of loops."""
    return {"linestyle": "", "markerfacecolor": LOOP_COLORS[min(loops, len(LOOP_COLORS) - 1)]}


def _dot_size(loops: int) -> float:
    """Small where nothing loops: those points lie close, since merging saves nothing until owners are few."""
    return 8.5 if loops else 5.0
