"""Test error against parameters (the paper's Figure 3).

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from foldnet.drawing.colors import BOX_LINE, distinct
from foldnet.drawing.figures import check_some, dress_axes, line_key, panels, styled
from foldnet.drawing.labels import Place, place_labels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORE_ROOM = 2.9  # inches of a panel's height
LOGARITHMIC_FROM = {"x": 8.0, "y": 4.0}  # times the least: from here on a linear axis would crowd what is small
FAMILIES = {  # markers and names, in the paper's order
    "wrn": ("s", "WRN"),
    "swrn": ("o", "SWRN"),
    "densenet": ("^", "DenseNet"),
    "densenetbc": ("^", "DenseNet-BC"),
    "sdensenetbc": ("v", "soft DenseNet-BC"),
    "resnext": ("D", "ResNeXt"),
    "sresnext": ("d", "soft ResNeXt"),
}
STEPS = {"fold": ("x", "folded"), "like": ("+", "hard sharing from the start")}  # what follows a training


@dataclass(frozen=True, slots=True)
class Point:
    """One network: the `family` whose colour it has, a short label, its parameters, and what is drawn of its score (an
    error in per cent where it is a share) with the deviation over seeds. Points of one `curve` are joined.

    What a `step` made, "fold" or "like", has a marker of its own, a fold a line to the `parent` that it comes from; a
    `published` one is hollow.
    """

    family: str
    label: str
    parameters: float
    value: float
    deviation: float = 0.0
    step: str = ""
    parent: tuple[float, float] | None = None
    published: bool = False
    curve: str = ""

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.parameters, self.value


@styled()
def efficiency_figure(
    points: Mapping[str, Sequence[Point]], title: str = "", *, axis: str = "test error (%)"
) -> Figure:
    """A panel for each data set: wide residual networks, plain and soft, as curves with bars of one deviation to each
    side, other networks as points, folds joined to the networks that they come from, published values hollow.

    Raises SettingError where there is nothing to draw.
    """
    check_some([*points.values()], "there is no network to draw; run the study first with `foldnet study run`")
    families = sorted({one.family for some in points.values() for one in some}, key=_place)
    # In the order of FAMILIES, so that a family has one colour in all figures.
    known = [*FAMILIES, *(family for family in families if family not in FAMILIES)]
    colors = {family: distinct(known.index(family)) for family in families}
    keys = _keys(points, colors)
    figure, (grid,) = panels(1, len(points), (3.9 * len(points), SCORE_ROOM), title, keys, top=0.2)
    every = [one for some in points.values() for one in some]
    for axes, (dataset, some) in zip(grid, points.items(), strict=True):
        for one in some:
            _draw(axes, one, colors[one.family])
        curves = [*_curves(some)]
        for curve in curves:
            _join(axes, curve, colors[curve[0].family])
        axes.margins(0.09)
        dress_axes(axes, "parameters (millions)", axis if axes is grid[0] else "")
        _scale(axes, "x", [one.parameters for one in every])
        _scale(axes, "y", [one.value for one in some])
        axes.set_title(dataset, fontsize=9, pad=5, loc="right")
        axes.autoscale_view()  # or limits are found when the figure is drawn, after the labels were placed
        labels = [(one.place, one.label, colors[one.family]) for one in some if one.label]
        place_labels(axes, labels, [*_taken(axes, some, curves)])
    return figure


def _scale(axes: Axes, name: str, values: Sequence[float]) -> None:
    """An axis with numbers written out, parameters in millions, logarithmic where values lie far apart."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis, unit = getattr(axes, f"{name}axis"), 1e6 if name == "x" else 1
    if max(values) > LOGARITHMIC_FROM[name] * min(values) > 0:
        getattr(axes, f"set_{name}scale")("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))


def _curves(some: Sequence[Point]) -> Iterator[list[Point]]:
    """The wide residual networks that a line joins, in the order of their sizes: trained in one way, or published."""
    found: dict[tuple[str, str, bool], list[Point]] = {}
    for one in sorted(some, key=lambda one: one.place):
        if one.family in ("wrn", "swrn") and not one.step:
            found.setdefault((one.family, one.curve, one.published), []).append(one)
    yield from (curve for curve in found.values() if len(curve) > 1)


def _taken(axes: Axes, some: Sequence[Point], curves: Sequence[Sequence[Point]]) -> Iterator[Place]:
    """Where marks and lines lie, which labels should not cover."""
    import numpy as np

    ends = [(one.parent, one.place) for one in some if one.parent is not None]
    bars = [((x, y - one.deviation), (x, y + one.deviation)) for one in some for x, y in [one.place] if one.deviation]
    ends += bars + [(a.place, b.place) for curve in curves for a, b in pairwise(curve)]
    yield from (one.place for one in some)
    for first, last in ends:
        start, end = axes.transData.transform([first, last])
        between = start + np.linspace(0, 1, 15)[:, None] * (end - start)
        yield from map(tuple, axes.transData.inverted().transform(between))


def _place(family: str) -> tuple[int, str]:
    """Known families first, in the paper's order."""
    order = [*FAMILIES]
    return (order.index(family) if family in order else len(order), family)


def _style(one: Point, color: str) -> dict[str, Any]:
    """The marker of a point: hollow where it is published, a cross where it is a fold."""
    if one.step:
        return {"marker": STEPS[one.step][0], "color": color, "markersize": 5, "markeredgewidth": 1.3}
    face = "white" if one.published else color
    return {"marker": FAMILIES.get(one.family, "*")[0], "color": color, "markerfacecolor": face, "markersize": 5}


def _draw(axes: Axes, one: Point, color: str) -> None:
    """One network with its bar, and the line to what it was folded from."""
    if one.parent is not None:
        xs, ys = zip(one.parent, one.place, strict=True)
        axes.plot(xs, ys, color=color, linewidth=0.7, linestyle=(0, (2, 2)), marker="", zorder=1)
    # What a step made often stands where another network does: its bar is thin and has no ends.
    caps = {"capsize": 0, "elinewidth": 0.5} if one.step else {"capsize": 2, "elinewidth": 0.9}
    mark: dict[str, Any] = {"linestyle": "", "zorder": 3, **caps, **_style(one, color)}
    bar = [one.deviation] if one.deviation else None
    axes.errorbar([one.parameters], [one.value], bar, **mark)


def _join(axes: Axes, curve: Sequence[Point], color: str) -> None:
    """A line through the networks of a curve."""
    style: dict[str, Any] = {"linestyle": (0, (1, 2)) if curve[0].published else "-", "linewidth": 1.1, "marker": ""}
    axes.plot(*zip(*(one.place for one in curve), strict=True), color=color, zorder=2, **style)


def _keys(points: Mapping[str, Sequence[Point]], colors: Mapping[str, str]) -> list[Artist]:
    """What the colours and markers mean."""
    every = [one for some in points.values() for one in some]
    keys = []
    for family, color in colors.items():
        own = Point(family, "", 0, 0)
        line = {"linestyle": "-" if family in ("wrn", "swrn") else ""}
        keys.append(line_key(FAMILIES.get(family, ("", family))[1], **line, **_style(own, color)))
    for step, (_, said) in STEPS.items():
        if any(one.step == step for one in every):
            dashes: dict[str, Any] = {"linestyle": (0, (2, 2)) if step == "fold" else ""}
            keys.append(line_key(said, **dashes, **_style(Point("", "", 0, 0, step=step), BOX_LINE)))
    if any(one.published for one in every):
        keys.append(line_key("published", linestyle="", **_style(Point("wrn", "", 0, 0, published=True), BOX_LINE)))
    if any(one.deviation and not one.step for one in every):
        keys.append(line_key("bars: one deviation over seeds", color=BOX_LINE, linewidth=0.9))
    return keys
