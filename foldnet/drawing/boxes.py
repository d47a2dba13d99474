"""Boxes and arrows of a fold's figure, and which colours a stage's owners and passes have.

All is drawn on axes whose units are inches, y downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

from foldnet.drawing.colors import (
    ALONE_FILL,
    BOX_LINE,
    FAINT_LINE,
    OWNER_FILLS,
    OWNER_LINES,
    PLAIN,
    PRIVATE_FILL,
    STAGE_FILL,
    distinct,
)
from foldnet.drawing.graph import program_graph
from foldnet.program.data import Program, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOX, PAD = 0.22, 0.03  # the height of a box or of a block's frame, and the room between frame and boxes
LAYER_GAP = 0.1  # between the layers of a block
NAME, SMALL = 7.0, 6.0  # points
LETTER = 0.054  # width of a letter in small print


@dataclass(frozen=True, slots=True)
class Cell:
    """One layer in a block's row: an owner's letter or nothing, small print, and the box."""

    name: str
    text: str
    style: tuple[str, str]  # fill and line
    rounded: bool = False


def stage_graph(stage: Stage) -> nx.MultiDiGraph:
    """The stage alone, between an input and an output."""
    return program_graph(Program((), (stage,), ()))


def owner_colors(graphs: Sequence[nx.MultiDiGraph]) -> dict[str, int]:
    """A number of a colour for each owner that several layers use, from 0 in each stage.

    An owner of several stages keeps its colour.
    """
    layers: dict[str, list[str]] = {}
    for graph in graphs:
        for node in _owners(graph):
            layers.setdefault(node, []).extend(graph.nodes[node]["layers"])
    colors: dict[str, int] = {}
    for graph in graphs:
        shared = [node for node in _owners(graph) if len(layers[node]) > 1]
        used = {colors[node] for node in shared if node in colors}
        for node in shared:
            if node not in colors:
                colors[node] = min(set(range(len(used) + 1)) - used)
                used.add(colors[node])
    return colors


def layer_nodes(graph: nx.MultiDiGraph) -> dict[str, str]:
    """The node of each layer of the flow."""
    return {layer: node for node, data in graph.nodes(data=True) for layer in data["layers"]}


def several_passes(graph: nx.MultiDiGraph) -> bool:
    """Whether the flow jumps back, so that arrows have colours and numbers."""
    return any(data["passes"][-1] > 1 for *_, data in graph.edges(data=True))


def pass_color(graph: nx.MultiDiGraph, number: int) -> str:
    """The colour of a pass, counted from 1; plain where there is only one."""
    return distinct(number - 1) if several_passes(graph) else PLAIN


def fill_and_line(graph: nx.MultiDiGraph, node: str, colors: Mapping[str, int]) -> tuple[str, str]:
    """The colours of a node's box."""
    if node in colors:
        return OWNER_FILLS[colors[node] % len(OWNER_FILLS)], OWNER_LINES[colors[node] % len(OWNER_LINES)]
    return (ALONE_FILL if graph.nodes[node]["kind"] == "owner" else PRIVATE_FILL), BOX_LINE


def _owners(graph: nx.MultiDiGraph) -> list[str]:
    """The nodes that are owners."""
    return [node for node, data in graph.nodes(data=True) if data["kind"] == "owner"]


def draw_word(axes: Axes, word: str, x: float, y: float) -> None:
    """Where the flow comes from and where it goes."""
    axes.text(x, y, word, fontsize=SMALL, ha="center", va="center_baseline", color=PLAIN)


def draw_box(axes: Axes, place: tuple[float, float, float, float], style: tuple[str, str], *, rounded: bool) -> None:
    """A box at (left, top, width, height)."""
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    shape = "round,pad=0,rounding_size=0.06" if rounded else "square,pad=0"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=shape, facecolor=style[0], edgecolor=style[1], linewidth=0.8)
    )


def name_inches(name: str) -> float:
    """Room for an owner's letter and the gap behind it."""
    return 0.075 * len(name) + 0.06 if name else 0.0


def cell_inches(cell: Cell) -> float:
    """The width that a layer needs."""
    return 0.14 + name_inches(cell.name) + 0.05 * len(cell.text)


def draw_cells(axes: Axes, cells: Sequence[Cell], left: float, top: float, width: float, color: str = PLAIN) -> None:
    """A block: its layers from left to right with arrows of one colour, in a frame where they are several."""
    framed = len(cells) > 1
    pad = PAD if framed else 0.0
    if framed:
        draw_box(axes, (left, top, width, BOX), (STAGE_FILL, FAINT_LINE), rounded=True)
    each = (width - 2 * pad - LAYER_GAP * (len(cells) - 1)) / max(len(cells), 1)
    y = top + BOX / 2
    for index, cell in enumerate(cells):
        x = left + pad + index * (each + LAYER_GAP)
        if index:
            draw_arrow(axes, ((x - LAYER_GAP, y), (x, y)), color, head=5)
        draw_box(axes, (x, top + pad, each, BOX - 2 * pad), cell.style, rounded=cell.rounded)
        start = x + (each - cell_inches(cell) + 0.14) / 2
        if cell.name:
            axes.text(start, y, cell.name, fontsize=NAME, weight="bold", va="center_baseline", color="black")
            start += name_inches(cell.name)
            axes.text(start, y, cell.text, fontsize=SMALL, va="center_baseline", color="black")
        else:
            axes.text(x + each / 2, y, cell.text, fontsize=SMALL, ha="center", va="center_baseline", color="black")


def draw_arrow(
    axes: Axes, corners: Sequence[tuple[float, float]], color: str, *, dashed: bool = False, head: float = 6.0
) -> None:
    """A way with rounded corners and a head at its end; where it is dashed, the head is not."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    points, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_toward(corner, before), corner, _toward(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    points.append(corners[-1])
    codes.append(Path.LINETO)
    solid = "-|>,head_length=0.5,head_width=0.25"
    style: dict[str, Any] = {"mutation_scale": head, "color": color, "linewidth": 1.1, "joinstyle": "miter"}
    style |= {"capstyle": "butt", "zorder": 4}
    if dashed:
        tip = Path([_toward(corners[-1], corners[-2], 0.03), corners[-1]], [Path.MOVETO, Path.LINETO])
        axes.add_patch(FancyArrowPatch(path=tip, arrowstyle=solid, linestyle="-", **style))
        points[-1] = _toward(corners[-1], corners[-2], 0.03)
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points, codes),
            arrowstyle="-" if dashed else solid,
            linestyle=(0, (3, 2)) if dashed else "-",
            **style,
        )
    )


def _toward(corner: tuple[float, float], other: tuple[float, float], radius: float = 0.06) -> tuple[float, float]:
    """The point at most `radius` from a corner on the way to another point."""
    x, y = other[0] - corner[0], other[1] - corner[1]
    length = max((x * x + y * y) ** 0.5, 1e-9)
    share = min(radius, length / 2) / length
    return corner[0] + share * x, corner[1] + share * y
