"""Charts of a page, as SVG that takes its colours from the page: curves, points, a level that they are held against."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foldnet.show.html import Markup, element

WIDTH, HEIGHT = 400, 230  # units, about pixels of a phone; a wider screen enlarges them
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 38  # around the plot
MOST_MARKS = 40  # points of a curve that are marked one by one
TICKS = 5
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) with a name, joined by a line where they are a curve; each may say what it is."""

    name: str
    points: tuple[Point, ...]
    joined: bool = True
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over named axes. `level` is a name and a height that they are held against, `rings` are points that are
    recommended; with `percent` heights are shares, 0..1."""

    label: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    level: tuple[str, float] | None = None
    rings: tuple[Point, ...] = ()
    percent: bool = False

    def heights(self) -> list[float]:
        """All of them."""
        return [y for curve in self.curves for _, y in curve.points] + ([self.level[1]] if self.level else [])


def ticks(low: float, high: float, count: int = TICKS, *, whole: bool = False) -> list[float]:
    """Round numbers that span low..high: (0.2, 9.7) -> 0, 2, ... 10; `whole` ones for what is counted. Where both are
    one to six digits, that is in the middle."""
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        low, high = low - (abs(low) / 10 or 1.0), high + (abs(high) / 10 or 1.0)
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(max(unit * times, float(whole)) for times in (1, 2, 2.5, 5, 10) if unit * times >= rough * 0.999)
    step = math.ceil(step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{step * index:.12g}") for index in range(first, last + 1)]


def chart_svg(chart: Chart) -> Markup:
    """The chart; what it shows in words is its label, since its numbers stand in a table beside it."""
    across = [x for curve in chart.curves for x, _ in curve.points]
    counts = all(x == round(x) for x in across)
    xs, ys = ticks(min(across), max(across), whole=counts), ticks(min(chart.heights()), max(chart.heights()))
    plot = _Plot(xs[0], xs[-1], ys[0], ys[-1])
    pieces = [*_axes(chart, plot, xs, ys), *_level(chart, plot)]
    for index, curve in enumerate(chart.curves):
        pieces += _curve(curve, plot, index)
    pieces += [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=7, class_="ring") for x, y in map(plot, chart.rings)]
    box = f"0 0 {WIDTH} {HEIGHT}"
    return element("svg", pieces, viewBox=box, role="img", aria_label=chart.label, class_="chart")


def legend(chart: Chart) -> Markup:
    """Whose line is which, in words that a screen reader reads too."""
    entries: list[tuple[Markup, str]] = []
    for index, curve in enumerate(chart.curves):
        line = element("line", x1=0, x2=24, y1=6, y2=6, class_=f"curve l{index % 7}")
        entries.append((line if curve.joined else _mark((12, 6), index, joined=False), curve.name))
    if chart.level:
        entries.append((element("line", x1=0, x2=24, y1=6, y2=6, class_="level"), chart.level[0]))
    if chart.rings:
        entries.append((element("circle", cx=12, cy=6, r=5, class_="ring"), "recommended: the knee"))
    if len(entries) == 1:
        return Markup()
    return element("ul", (element("li", _sample(piece), name) for piece, name in entries), class_="legend")


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where a point of the data lies."""

    left: float
    right: float
    low: float
    high: float

    def __call__(self, point: Point) -> Point:
        """In units of the picture."""
        x = (point[0] - self.left) / (self.right - self.left)
        y = (point[1] - self.low) / (self.high - self.low)
        return LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP)


def _axes(chart: Chart, plot: _Plot, xs: Sequence[float], ys: Sequence[float]) -> Iterator[Markup]:
    """Rules at the ticks, their numbers, and what they count."""
    for value in ys:
        x, y = plot((plot.left, value))
        yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="rule")
        said = f"{100 * value:.4g} %" if chart.percent else f"{value:.4g}"
        yield element("text", said, x=LEFT - 5, y=f"{y + 3.5:.1f}", text_anchor="end")
    for value in xs:
        x, y = plot((value, plot.low))
        # A long number below the end of the axis would be cut off there.
        said, side = f"{value:.6g}", "end" if value == xs[-1] and len(f"{value:.6g}") > 3 else "middle"
        yield element("text", said, x=f"{x + 8 * (side == 'end'):.1f}", y=f"{y + 14:.1f}", text_anchor=side)
    yield element("text", chart.x, x=f"{(LEFT + WIDTH - RIGHT) / 2}", y=HEIGHT - 6, text_anchor="middle", class_="axis")


def _level(chart: Chart, plot: _Plot) -> Iterator[Markup]:
    """The line of a level."""
    if chart.level is not None:
        _, y = plot((plot.left, chart.level[1]))
        yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="level")


def _curve(curve: Curve, plot: _Plot, index: int) -> Iterator[Markup]:
    """A line through its points, and a mark at each where they are few."""
    places = [plot(point) for point in curve.points]
    kind = f"l{index % 7}"
    if curve.joined and len(places) > 1:
        yield element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places), class_=f"curve {kind}")
    if len(places) <= MOST_MARKS:
        for number, place in enumerate(places):
            yield _mark(place, index, joined=curve.joined, said=curve.said[number] if curve.said else None)


def _mark(place: Point, index: int, *, joined: bool, said: str | None = None) -> Markup:
    """A point: a small dot on a line, else a disk or, so that no colour is needed to tell them apart, a square."""
    (x, y), kind, size = place, f"mark l{index % 7}", 2.5 if joined else 4
    title = element("title", said) if said is not None else None
    if joined or index % 2 == 0:
        return element("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r=size, class_=kind)
    corner = {"x": f"{x - size:.1f}", "y": f"{y - size:.1f}"}
    return element("rect", title, **corner, width=2 * size, height=2 * size, class_=kind)


def _sample(piece: Markup) -> Markup:
    """A piece of a line, or a mark, for a legend."""
    return element("svg", piece, viewBox="0 0 24 12", class_="sample", aria_hidden="true")
