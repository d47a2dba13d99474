"""Boxes, arrows and words of a fold's figure, on axes whose units are inches, y downwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foldnet.drawing.colors import PLAIN, STAGE_BOX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path as Way

BOX, PAD = 0.22, 0.03  # the height of a box or of a block's frame, and the room between frame and boxes
LAYER_GAP = 0.1  # between the layers of a block
LINE = 0.115  # height of a line in small print
NAME, SMALL = 7.0, 6.0  # points

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """The box of one layer, or of an owner that several use: a letter or nothing, lines of small print, fill and line
    of the box."""

    name: str
    text: str
    style: tuple[str, str]
    rounded: bool = False

    @property
    def lines(self) -> list[str]:
        """The small print."""
        return self.text.split("\n")

    @property
    def height(self) -> float:
        """What the lines need."""
        return 0.08 + LINE * len(self.lines)

    @property
    def name_inches(self) -> float:
        """Room for the letter and the gap behind it."""
        return 0.075 * len(self.name) + 0.06 if self.name else 0.0

    @property
    def width(self) -> float:
        """What the words need."""
        return 0.14 + self.name_inches + 0.05 * max(map(len, self.lines))

    def write(self, axes: Axes, x: float, y: float) -> None:
        """The letter, and the lines beside it."""
        write(axes, x, y, self.name, NAME, weight="bold")
        for index, line in enumerate(self.lines):
            write(axes, x + self.name_inches, y + LINE * (index - (len(self.lines) - 1) / 2), line)


def block_inches(cells: Sequence[Cell]) -> float:
    """The width that a block needs."""
    return len(cells) * (max(cell.width for cell in cells) + LAYER_GAP) - LAYER_GAP + 2 * PAD


def write(axes: Axes, x: float, y: float, words: str, size: float = SMALL, **style: Any) -> None:
    """Words of one line."""
    axes.text(x, y, words, **{"fontsize": size, "color": "black", "va": "center_baseline", **style})


def draw_box(axes: Axes, place: tuple[float, float, float, float], style: tuple[str, str], *, rounded: bool) -> None:
    """A box at (left, top, width, height)."""
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    shape, (fill, line) = "round,pad=0,rounding_size=0.06" if rounded else "square,pad=0", style
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, facecolor=fill, edgecolor=line, linewidth=0.8))


def draw_block(axes: Axes, cells: Sequence[Cell], left: float, top: float, width: float, color: str = PLAIN) -> None:
    """A block: its layers from left to right with arrows of one colour, in a frame where they are several."""
    framed = len(cells) > 1
    pad = PAD if framed else 0.0
    if framed:
        draw_box(axes, (left, top, width, BOX), STAGE_BOX, rounded=True)
    each = (width - 2 * pad - LAYER_GAP * (len(cells) - 1)) / max(len(cells), 1)
    y = top + BOX / 2
    for index, cell in enumerate(cells):
        x = left + pad + index * (each + LAYER_GAP)
        if index:
            draw_arrow(axes, ((x - LAYER_GAP, y), (x, y)), color, head=5)
        draw_box(axes, (x, top + pad, each, BOX - 2 * pad), cell.style, rounded=cell.rounded)
        if cell.name:
            cell.write(axes, x + (each - cell.width + 0.14) / 2, y)
        else:
            write(axes, x + each / 2, y, cell.text, ha="center")


def draw_arrow(axes: Axes, corners: Sequence[Point], color: str, *, dashed: bool = False, head: float = 6.0) -> None:
    """A way with rounded corners and a head at its end; where it is dashed, the head is not."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    look: dict[str, Any] = {"mutation_scale": head, "color": color, "linewidth": 1.1, "joinstyle": "miter"}
    look |= {"capstyle": "butt", "zorder": 4}

    def draw(way: Way, arrow: str, line: Any = "-") -> None:
        axes.add_patch(FancyArrowPatch(path=way, arrowstyle=arrow, linestyle=line, **look))

    points, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_toward(corner, before), corner, _toward(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    solid = "-|>,head_length=0.5,head_width=0.25"
    if dashed:
        tip = _toward(corners[-1], corners[-2], 0.03)
        draw(Path([tip, corners[-1]], [Path.MOVETO, Path.LINETO]), solid)
        draw(Path([*points, tip], [*codes, Path.LINETO]), "-", (0, (3, 2)))
    else:
        draw(Path([*points, corners[-1]], [*codes, Path.LINETO]), solid)


def _toward(corner: Point, other: Point, radius: float = 0.06) -> Point:
    """The point at most `radius` from a corner on the way to another point."""
    x, y = other[0] - corner[0], other[1] - corner[1]
    share = min(radius / max(math.hypot(x, y), 1e-9), 0.5)
    return corner[0] + share * x, corner[1] + share * y
