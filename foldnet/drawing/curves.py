"""Curves: accuracy against trips through a loop, the reach of networks, and F1 as training went on (Figure 5).

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.colors import BOX_LINE, INK, distinct
from foldnet.drawing.figures import check_some, dress_axes, line_key, panels, styled
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Of the series of each loop: the first solid and filled, the others hollow.
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("o", "o", "s", "^")
FOUND = {"linestyle": "", "marker": "|"}  # a tick at what folding found
TICKS = 12  # more whole numbers than this along x would lie on each other

Curve = Sequence[tuple[int, float]]  # (trips, score)


@styled()
def depth_figure(
    loops: Mapping[str, Mapping[str, Curve]],
    title: str = "",
    *,
    found: Mapping[str, int] | None = None,
    measure: str = "accuracy",
    percent: bool = True,
    logarithmic: bool = False,
) -> Figure:
    """Accuracy (or what its data's `measure` is called) against the number of trips through each loop, the other loops
    left as they are; in per cent where the score is a share, 0..1.

    `loops` holds the series that were measured of each loop, such as "as folded" and "recalibrated": a colour a loop, a
    line style a series. A vertical tick marks the trips that folding found (`found`, by loop). The axis has a number at
    both ends, or if `logarithmic` one at each doubling. Raises SettingError where there is nothing to draw.
    """
    series = tuple(dict.fromkeys(name for curves in loops.values() for name, curve in curves.items() if curve))
    check_some(series, "there is no curve to draw; a program without loops has no trips to vary")
    marks = found or {}
    keys = [line_key(name, color=distinct(index), linewidth=1.3) for index, name in enumerate(loops)]
    told = series if len(series) > 1 else ()  # one has no other to be told from
    keys += [line_key(name, **_style("black", number)) for number, name in enumerate(told)]
    if marks:
        keys.append(line_key("trips found", color="black", markersize=9, **FOUND))
    figure, ((axes,),) = panels(1, 1, (4.6, 2.6), title, keys)
    tried: set[int] = set()
    scale = 100 if percent else 1
    for index, (loop, curves) in enumerate(loops.items()):
        for number, curve in enumerate(sorted(curves.get(name, ())) for name in series):
            trips, scores = [trip for trip, _ in curve], [scale * score for _, score in curve]
            axes.plot(trips, scores, **_style(distinct(index), number))
            tried.update(trips)
            if curve and loop in marks:
                # Between two measurements it stands on the line between them.
                place = [marks[loop]], [np.interp(marks[loop], trips, scores)]
                axes.plot(*place, color=distinct(index), markersize=13, markeredgewidth=2.0, **FOUND)
    axes.margins(x=0.05, y=0.12)
    dress_axes(axes, "trips through the loop", f"{measure} (%)" if percent else measure, whole=True)
    if logarithmic:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        axes.set_xticks(_ticks(min(tried), max(tried)))
    return figure


def _style(color: str, series: int) -> dict[str, Any]:
    """A line with a marker at each measurement."""
    line = {"color": color, "linewidth": 1.3, "linestyle": DASHES[series % len(DASHES)]}
    marker = {"marker": MARKERS[series % len(MARKERS)], "markerfacecolor": "white" if series else color}
    return {**line, **marker, "markersize": 3.5}


def _ticks(least: int, most: int) -> list[int]:
    """Whole numbers from the first to the last, both included, evenly spread where they are many."""
    count = min(most - least + 1, TICKS)
    return [int(tick) for tick in np.linspace(least, most, count).round()]


@dataclass(frozen=True, slots=True)
class ReachCurve:
    """One network: (steps, F1, whole) as it is and recalibrated, the steps as found, and (length, F1, whole) by length
    of path."""

    name: str
    by_steps: tuple[tuple[int, float, float], ...]
    recalibrated: tuple[tuple[int, float, float], ...]
    found: int | None
    by_length: tuple[tuple[float, float, float], ...]


@styled()
def reach_figure(curves: Sequence[ReachCurve], title: str = "") -> Figure:
    """Four panels; a network that cannot run longer is a diamond. Dashed is with batch norm estimated anew, a tick what
    was found.

    Raises SettingError where there is nothing to draw.
    """
    check_some(curves, "there is no network whose reach could be drawn; name runs or folds")
    keys = [
        line_key(curve.name, color=distinct(index), marker="D" if curve.found is None else "o", markersize=4)
        for index, curve in enumerate(curves)
    ]
    if any(curve.recalibrated for curve in curves):
        keys.append(line_key("recalibrated", color="black", linestyle=DASHES[1]))
    if any(curve.found is not None for curve in curves):
        keys.append(line_key("as found", color="black", markersize=9, **FOUND))
    figure, axes = panels(2, 2, (7.4, 4.05), title, keys)
    for row, label in enumerate(("F1", "grids wholly right")):
        by_steps, by_length = axes[row]
        for index, curve in enumerate(curves):
            _draw_steps(by_steps, curve, 1 + row, distinct(index))
            _draw_scores(by_length, curve.by_length, 1 + row, distinct(index), marker="o", markersize=3, linestyle="-")
        dress_axes(by_steps, "steps" if row else "", label, whole=True)
        dress_axes(by_length, "steps of the shortest path" if row else "", "", whole=True)
        by_steps.set_ylim(-0.03, 1.03)
        by_length.set_ylim(-0.03, 1.03)
    return figure


def _draw_steps(axes: Axes, curve: ReachCurve, column: int, color: str) -> None:
    """Scores of one network against its steps."""
    if curve.found is None:
        _draw_scores(axes, curve.by_steps, column, color, marker="D", markersize=5, linestyle="")
        return
    for series, points in enumerate((curve.by_steps, curve.recalibrated)):
        _draw_scores(axes, points, column, **{**_style(color, series), "linewidth": 1.2})
    found = [point for point in curve.by_steps if point[0] == curve.found]
    _draw_scores(axes, found, column, color, markersize=13, markeredgewidth=2, **FOUND)


def _draw_scores(axes: Axes, points: Sequence[tuple[float, ...]], column: int, color: str, **style: Any) -> None:
    """A column of `points` against the first."""
    axes.plot(*([point[at] for point in points] for at in (0, column)), color=color, **{"linewidth": 1.2, **style})


@styled()
def f1_figure(
    curves: Mapping[str, Sequence[Sequence[float]]], borders: Sequence[int], phases: Sequence[str], title: str = ""
) -> Figure:
    """`curves` are F1 after each epoch, a row for every seed; `borders` the epochs after which a new phase begins,
    `phases` their names.

    The axis of F1 begins where the curves are: first epochs that lie far below all others are cut off, which the
    picture says. The band reaches from the least to the largest of the seeds. Raises SettingError where there is
    nothing to draw or seeds of one network have other numbers of epochs.
    """
    check_some(curves, "there is no run whose F1 could be drawn; train some with `foldnet.train(dataset='paths')`")
    for name, seeds in curves.items():
        if len({len(seed) for seed in seeds}) > 1:
            raise SettingError(f"the runs of {name} have other numbers of epochs; draw those that are as long")
    values = [np.asarray(seeds, np.float64) for seeds in curves.values()]
    longest = max(rows.shape[1] for rows in values)
    keys = [
        line_key(f"{name} ({len(rows)} seed{'s' * (len(rows) > 1)})", color=distinct(index), linewidth=1.6)
        for index, (name, rows) in enumerate(zip(curves, values, strict=True))
    ]
    figure, ((axes,),) = panels(1, 1, (6.4, 2.55), title, keys, top=0.2)
    for index, rows in enumerate(values):
        epochs = np.arange(1, rows.shape[1] + 1)
        axes.fill_between(epochs, rows.min(0), rows.max(0), color=distinct(index), alpha=0.16, linewidth=0)
        axes.plot(epochs, rows.mean(0), color=distinct(index), linewidth=1.3, linestyle="-", marker="")
    edges = [0, *borders, longest]
    for border in borders:
        axes.axvline(border + 0.5, color=BOX_LINE, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    for number, name in enumerate(phases):
        middle = (edges[number] + edges[number + 1] + 1) / 2
        axes.text(middle, 1.015, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=7)
    dress_axes(axes, "epoch", "F1 on held-out grids", whole=True)
    axes.set_xlim(0.5, longest + 0.5)
    axes.margins(y=0.04)
    _cut_first_epochs(axes, values)
    return figure


def _cut_first_epochs(axes: Axes, curves: Sequence[NDArray[np.float64]]) -> None:
    """Begin the axis at what all but a twentieth of the values reach, where the rest would take more than half of its
    height."""
    values = np.concatenate([curve.ravel() for curve in curves])
    low, high = float(np.quantile(values, 0.05)), float(values.max())
    if low - values.min() <= high - low:
        return
    room = 0.15 * (high - low) or 0.01
    below = [curve < low - room for curve in curves]
    last = max(int(np.flatnonzero(cut.any(0)).max(initial=-1)) for cut in below) + 1
    axes.set_ylim(low - room, high + room)
    said = f"not shown: F1 below {low - room:.2f}, down to {values.min():.2f}, up to epoch {last}"
    axes.text(0.99, 0.02, said, transform=axes.transAxes, ha="right", va="bottom", fontsize=6.5, color=INK)
