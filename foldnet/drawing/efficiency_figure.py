"""Test error against parameters (the paper's Figure 3).

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foldnet.drawing.colors import BOX_LINE, INK, distinct
from foldnet.drawing.figures import check_some, dress_axes, line_key, panels, styled

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORE_ROOM = 2.9  # inches of a panel's height
LOGARITHMIC_FROM = 8.0  # times the fewest parameters: from here on a linear axis would crowd the small networks
MARKERS = {"wrn": "s", "swrn": "o", "densenet": "^", "densenetbc": "^", "resnext": "D"}
ORDER = tuple(MARKERS)
STEPS = {"fold": ("x", "folded"), "like": ("+", "hard sharing from the start")}  # what follows a training


@dataclass(frozen=True, slots=True)
class Point:
    """One network: the `family` whose colour it has, a short label, its parameters, and what is drawn of its score (an
    error in per cent where it is a share) with the deviation over seeds.

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


@styled()
def efficiency_figure(
    points: Mapping[str, Sequence[Point]], title: str = "", *, axis: str = "test error (%)", seeds: str = ""
) -> Figure:
    """A panel for each data set: wide residual networks, plain and soft, as curves with bars of one deviation to each
    side, other networks as points, folds joined to the networks that they come from, published values hollow.

    Raises SettingError where there is nothing to draw.
    """
    check_some([*points.values()], "there is no network to draw; run the study first with `foldnet study run`")
    families = sorted({one.family for some in points.values() for one in some}, key=_place)
    colors = {family: distinct(number) for number, family in enumerate(families)}
    keys = _keys(points, colors)
    figure, (grid,) = panels(1, len(points), (3.9 * len(points), SCORE_ROOM), title, keys, top=0.2)
    every = [one.parameters for some in points.values() for one in some]
    for axes, (dataset, some) in zip(grid, points.items(), strict=True):
        for one in some:
            _draw(axes, one, colors[one.family])
        for family in ("wrn", "swrn"):
            for published in (False, True):
                _join(axes, [one for one in some if one.family == family and one.published is published], colors)
        axes.margins(0.09)
        dress_axes(axes, "parameters (millions)", axis if axes is grid[0] else "")
        _scale(axes, logarithmic=max(every) > LOGARITHMIC_FROM * min(every))
        axes.set_title(dataset, fontsize=9, pad=5, loc="right")
    if seeds:
        grid[0].text(0.0, 1.02, seeds, transform=grid[0].transAxes, ha="left", va="bottom", fontsize=6.5, color=INK)
    return figure


def _scale(axes: Axes, *, logarithmic: bool) -> None:
    """Parameters in millions, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g}"))


def _place(family: str) -> tuple[int, str]:
    """Known families first, in the paper's order."""
    return (ORDER.index(family) if family in ORDER else len(ORDER), family)


def _style(one: Point, color: str) -> dict[str, Any]:
    """The marker of a point: hollow where it is published, a cross where it is a fold."""
    if one.step:
        return {"marker": STEPS[one.step][0], "color": color, "markersize": 5, "markeredgewidth": 1.3}
    face = "white" if one.published else color
    return {"marker": MARKERS.get(one.family, "v"), "color": color, "markerfacecolor": face, "markersize": 5}


def _draw(axes: Axes, one: Point, color: str) -> None:
    """One network with its bar, its label, and the line to what it was folded from."""
    if one.parent is not None:
        xs, ys = zip(one.parent, (one.parameters, one.value), strict=True)
        axes.plot(xs, ys, color=color, linewidth=0.7, linestyle=(0, (2, 2)), marker="", zorder=1)
    mark: dict[str, Any] = {"linestyle": "", "capsize": 2, "linewidth": 0.9, "zorder": 3, **_style(one, color)}
    axes.errorbar([one.parameters], [one.value], None if one.step else [one.deviation], **mark)
    if one.label:
        place: dict[str, Any] = {"xytext": (4, 4), "textcoords": "offset points"}
        axes.annotate(one.label, (one.parameters, one.value), fontsize=5.5, color=INK, **place)


def _join(axes: Axes, some: Sequence[Point], colors: Mapping[str, str]) -> None:
    """A curve through the networks of a family that were trained, in the order of their sizes."""
    trained = sorted((one.parameters, one.value) for one in some if not one.step)
    if len(trained) > 1:
        style: dict[str, Any] = {"linestyle": (0, (1, 2)) if some[0].published else "-", "linewidth": 1.1, "marker": ""}
        axes.plot(*zip(*trained, strict=True), color=colors[some[0].family], zorder=2, **style)


def _keys(points: Mapping[str, Sequence[Point]], colors: Mapping[str, str]) -> list[Artist]:
    """What the colours and markers mean."""
    every = [one for some in points.values() for one in some]
    keys = []
    for family, color in colors.items():
        own = Point(family, "", 0, 0)
        line = {"linestyle": "-" if family in ("wrn", "swrn") else ""}
        keys.append(line_key(family.upper(), **line, **_style(own, color)))
    for step, (_, said) in STEPS.items():
        if any(one.step == step for one in every):
            dashes: dict[str, Any] = {"linestyle": (0, (2, 2)) if step == "fold" else ""}
            keys.append(line_key(said, **dashes, **_style(Point("", "", 0, 0, step=step), BOX_LINE)))
    if any(one.published for one in every):
        keys.append(line_key("published", linestyle="", **_style(Point("wrn", "", 0, 0, published=True), BOX_LINE)))
    return keys
