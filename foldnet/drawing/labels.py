"""Short words beside the marks of a figure, where they cover least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 5.5  # points of a label
WIDE, HIGH = 0.6, 1.15  # of a letter of DejaVu Sans and of a line, in sizes
MARK = 3.0  # points from a mark's middle to its edge
AWAY = (5.0, 12.0, 22.0)  # points from a mark to its label: near ones are tried first, a thin line leads to far ones
SIDES = (("left", "bottom"), ("left", "top"), ("right", "bottom"), ("right", "top"), ("center", "bottom"))

Place = tuple[float, float]  # in the data of the axes
Box = tuple[float, float, float, float]  # left, bottom, right, top in points
OUTSIDE = 10.0  # times worse than covering something


def place_labels(axes: Axes, labels: Sequence[tuple[Place, str, str]], taken: Sequence[Place]) -> None:
    """Write each label, (place, text, colour), beside its place: at the first side where it covers neither what is
    `taken` (a mark, a part of a line) nor another label, else where it covers least.

    To be called when scales and limits are final.
    """
    scale = 72 / axes.figure.dpi
    left, low, right, top = (axes.transAxes.transform([(0, 0), (1, 1)]) * scale).flatten()
    room: Box = (left, low, right, top)
    full = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in axes.transData.transform([*taken]) * scale]
    for place, text, color in labels:
        x, y = axes.transData.transform(place) * scale
        # Of equals the first.
        across, up, side, foot, box = min(_candidates(x, y, text), key=lambda one: _covered(one[-1], full, room))
        own: dict[str, Any] = {"ha": side, "va": foot, "xytext": (across, up), "textcoords": "offset points"}
        if abs(across) > AWAY[0] or abs(up) > AWAY[0]:
            own["arrowprops"] = {"arrowstyle": "-", "linewidth": 0.4, "color": color, "shrinkA": 0, "shrinkB": MARK}
        axes.annotate(text, place, fontsize=SIZE, color=color, linespacing=1.0, **own)
        full.append(box)


def _candidates(x: float, y: float, text: str) -> Iterator[tuple[float, float, str, str, Box]]:
    """(offset across, offset up, horizontal and vertical alignment, box) of every way to write a label."""
    lines = text.split("\n")
    width, height = WIDE * SIZE * max(map(len, lines)), HIGH * SIZE * len(lines)
    for away, (side, foot) in product(AWAY, SIDES):
        across = {"left": away, "right": -away, "center": 0.0}[side]
        up = 0.6 * away if foot == "bottom" else -0.6 * away
        left = x + across - {"left": 0.0, "right": width, "center": width / 2}[side]
        low = y + up - (0.0 if foot == "bottom" else height)
        yield across, up, side, foot, (left, low, left + width, low + height)


def _covered(box: Box, full: Sequence[Box], room: Box) -> float:
    """How much of what is there a box covers, in square points, and much more for what lies outside of the room."""
    left, low, right, top = box
    whole = (right - left) * (top - low)
    return sum(_common(box, other) for other in full) + OUTSIDE * (whole - _common(box, room))


def _common(one: Box, other: Box) -> float:
    """The area that two boxes have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0
