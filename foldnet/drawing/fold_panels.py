"""The two drawn panels of a stage: unrolled, a row a block, and folded, a column of owners with arrows.

Both are drawn on axes whose units are inches, y downwards.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

from foldnet.drawing.dot import PASS_COLORS, PLAIN, PRIVATE_FILL
from foldnet.drawing.fold_layout import Arrow, Column, column_layout
from foldnet.drawing.graph import program_graph
from foldnet.folding.program import Item, Loop, Program, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Fills of owners that several layers use: light enough for black letters, and told apart in grey by their letters.
OWNER_FILLS = (
    "#9fc5e8",
    "#f6c28b",
    "#a8d5a2",
    "#d9b3e0",
    "#f3a6a0",
    "#e8dc8a",
    "#8fd3cf",
    "#c9b79c",
    "#b9c2f0",
    "#f2b8d6",
)
OWNER_LINES = (
    "#2e6da4",
    "#b8691b",
    "#3b8740",
    "#8b4f97",
    "#b5453c",
    "#8f7f16",
    "#23807b",
    "#7a6241",
    "#4a57b0",
    "#a94479",
)
ALONE_FILL, BOX_LINE = "#e9ecef", "#8a9099"  # an owner that one layer uses
BOX, ROW_GAP, LAYER_GAP = 0.19, 0.11, 0.1
LETTER = 0.054  # width of a letter at 6.5 points
LINE = 0.115  # height of a line at 6 points
LABEL_LETTERS = 30  # longer labels are wrapped
NAME, SMALL = 7.0, 6.0  # points


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the folded stage: a word, a private layer, or an owner and who uses it."""

    name: str
    lines: tuple[str, ...]
    word: bool = False


@dataclass(frozen=True, slots=True)
class FoldedPanel:
    """The folded stage, ready to be drawn."""

    graph: nx.MultiDiGraph
    boxes: Mapping[str, Box]
    edges: tuple[tuple[str, str], ...]
    times: Mapping[tuple[str, str], tuple[int, ...]]
    column: Column
    box_width: float


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


def pass_color(graph: nx.MultiDiGraph, number: int) -> str:
    """The colour of a pass, counted from 1; plain where there is only one."""
    most = max(data["pass"] for *_, data in graph.edges(data=True))
    return PASS_COLORS[(number - 1) % len(PASS_COLORS)] if most > 1 else PLAIN


def fill_and_line(graph: nx.MultiDiGraph, node: str, colors: Mapping[str, int]) -> tuple[str, str]:
    """The colours of a node's box."""
    if node in colors:
        return OWNER_FILLS[colors[node] % len(OWNER_FILLS)], OWNER_LINES[colors[node] % len(OWNER_LINES)]
    return (ALONE_FILL if graph.nodes[node]["kind"] == "owner" else PRIVATE_FILL), BOX_LINE


def unrolled_size(stage: Stage, graph: nx.MultiDiGraph) -> tuple[float, float]:
    """Width and height of the unrolled panel."""
    names, rows, layer_width = _rows(stage, graph)
    longest = max((len(row) for row in rows), default=0)
    width = _name_room(names) + longest * (layer_width + LAYER_GAP) + _label_room(stage)
    return width, (len(rows) + 2) * (BOX + ROW_GAP) - ROW_GAP


def draw_unrolled(
    axes: Axes, stage: Stage, graph: nx.MultiDiGraph, colors: Mapping[str, int], left: float, top: float
) -> None:
    """A row a block, its layers from left to right; the block's label behind it where one repeats."""
    names, rows, layer_width = _rows(stage, graph)
    start = left + _name_room(names)
    longest = max((len(row) for row in rows), default=1)
    middle = start + (longest * (layer_width + LAYER_GAP) - LAYER_GAP) / 2
    nodes = layer_nodes(graph)
    ys = [top + (BOX + ROW_GAP) * row for row in range(len(rows) + 2)]
    _word(axes, "in", middle, ys[0] + BOX / 2)
    _word(axes, "out", middle, ys[-1] + BOX / 2)
    for y in ys[:-1]:
        _arrow(axes, ((middle, y + BOX), (middle, y + BOX + ROW_GAP)), PLAIN, head=5)
    for block, name, row, y in zip(stage.blocks, names, rows, ys[1:-1], strict=True):
        x = middle - (len(row) * (layer_width + LAYER_GAP) - LAYER_GAP) / 2
        axes.text(start - 0.07, y + BOX / 2, name, fontsize=SMALL, ha="right", va="center_baseline", color=PLAIN)
        for index, (layer, text) in enumerate(row):
            at = x + index * (layer_width + LAYER_GAP)
            if index:
                _arrow(axes, ((at - LAYER_GAP, y + BOX / 2), (at, y + BOX / 2)), PLAIN, head=5)
            _box(axes, (at, y, layer_width, BOX), fill_and_line(graph, nodes[layer], colors), rounded=False)
            axes.text(at + layer_width / 2, y + BOX / 2, text, fontsize=SMALL, ha="center", va="center_baseline")
        if _label_room(stage) and not block.label.startswith("private"):
            x = middle + (longest * (layer_width + LAYER_GAP) - LAYER_GAP) / 2 + 0.08
            axes.text(x, y + BOX / 2, block.label, fontsize=NAME, va="center_baseline", weight="bold", color="black")


def folded_panel(stage: Stage, graph: nx.MultiDiGraph) -> FoldedPanel:
    """The folded stage's boxes, arrows, and how often loops run."""
    boxes = {node: _box_text(data) for node, data in graph.nodes(data=True)}
    width = max(_box_inches(box) for box in boxes.values())
    rows = {node: row for row, node in enumerate(boxes)}
    edges = tuple((source, target) for source, target in graph.edges())
    heights = [0.13 if box.word else max(BOX, 0.08 + LINE * len(box.lines)) for box in boxes.values()]
    column = column_layout(heights, [(rows[source], rows[target]) for source, target in edges], width)
    return FoldedPanel(graph, boxes, edges, _times(stage, layer_nodes(graph)), column, width)


def folded_reach(panel: FoldedPanel) -> tuple[float, float]:
    """How far the panel reaches to the left and right of its boxes' middle, with room for a label in the last lane."""
    half = panel.box_width / 2
    return max(panel.column.left, half) + 0.12, max(panel.column.right, half) + 0.12


def draw_folded(axes: Axes, panel: FoldedPanel, colors: Mapping[str, int], middle: float, top: float) -> None:
    """Boxes, then arrows in the colour of their pass, dashed where a layer is reused outside loops."""
    left = middle - panel.box_width / 2
    for (node, box), y, height in zip(panel.boxes.items(), panel.column.tops, panel.column.heights, strict=True):
        if box.word:
            _word(axes, box.name, middle, top + y + height / 2)
            continue
        rounded = panel.graph.nodes[node]["kind"] == "owner"
        style = fill_and_line(panel.graph, node, colors)
        _box(axes, (left, top + y, panel.box_width, height), style, rounded=rounded)
        _box_words(axes, box, left, top + y + height / 2)
    for edge, arrow in zip(panel.edges, panel.column.arrows, strict=True):
        data = panel.graph.edges[(*edge, "flow")]
        color = pass_color(panel.graph, data["pass"])
        moved = _end_at_words(panel, edge, arrow)
        _arrow(axes, [(middle + x, top + y) for x, y in moved], color, dashed=data["dashed"])
        if edge in panel.times:
            said = ", ".join(f"{times}×" for times in panel.times[edge])
            beside = 0.05 if len(arrow.corners) == 2 else 0.0  # on a lane the label covers its line
            axes.text(
                middle + arrow.label[0] + beside, top + arrow.label[1], said, color=color, fontsize=7.5, weight="bold",
                ha="left" if beside else "center", va="center", zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip


def _owners(graph: nx.MultiDiGraph) -> list[str]:
    """The nodes that are owners."""
    return [node for node, data in graph.nodes(data=True) if data["kind"] == "owner"]


def _rows(stage: Stage, graph: nx.MultiDiGraph) -> tuple[list[str], list[list[tuple[str, str]]], float]:
    """The blocks' names, their layers of the flow (layer, position), and the width of a layer's box."""
    nodes = layer_nodes(graph)
    rows = [
        [(use.layer, use.position) for use in block.uses if use.layer in nodes and use.position]
        for block in stage.blocks
    ]
    names = [block.name.removeprefix(f"{stage.name}.") for block in stage.blocks]
    for index, (block, row) in enumerate(zip(stage.blocks, rows, strict=True)):
        if not row:  # a block that is one layer has no positions: its box bears its name
            rows[index] = [(use.layer, names[index]) for use in block.uses if use.layer in nodes]
            names[index] = ""
    longest = max((len(text) for row in rows for _, text in row), default=0)
    return names, rows, LETTER * longest + 0.14


def _name_room(names: Sequence[str]) -> float:
    """Room for the blocks' names."""
    return 0.1 + LETTER * max(map(len, names), default=0)


def _label_room(stage: Stage) -> float:
    """Room for the blocks' labels, which are of use where one repeats."""
    labels = [block.label for block in stage.blocks]
    return 0.12 + 0.07 * max(map(len, labels)) if len(set(labels)) < len(labels) else 0.0


def _times(stage: Stage, nodes: Mapping[str, str]) -> dict[tuple[str, str], tuple[int, ...]]:
    """How often the loops run whose end leads to their beginning by an edge."""
    layers = [[use.layer for use in block.uses if use.layer in nodes] for block in stage.blocks]
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    seen: set[str] = set()

    def walk(items: Sequence[Item], first: int) -> int:
        for item in items:
            if not isinstance(item, Loop):
                first += 1
                continue
            after = walk(item.body, first)
            if item.name not in seen and layers[first] and layers[after - 1]:
                seen.add(item.name)
                edge = nodes[layers[after - 1][-1]], nodes[layers[first][0]]
                found[edge] = (*found.get(edge, ()), item.times)
            first += item.times * (after - first)
        return first

    walk(stage.items, 0)
    return found


def _box_text(data: Mapping[str, Any]) -> Box:
    """What a box of the folded stage says."""
    if data["kind"] in ("input", "output"):
        return Box("in" if data["kind"] == "input" else "out", (), word=True)
    if data["kind"] == "private":
        return Box("", (data["name"],))
    lines = [re.sub(r"(?<=\d)-(?=\d)", "–", line) for line in data["label"].split("\n")]
    wrapped = [part for line in lines for part in textwrap.wrap(line, LABEL_LETTERS) or [""]]
    return Box(f"{data['name']} ×{data['uses']}" if data["uses"] > 1 else data["name"], tuple(wrapped))


def _box_inches(box: Box) -> float:
    """The width that a box needs."""
    return _label_at(box) + 0.1 + 0.05 * max(map(len, box.lines), default=0)


def _label_at(box: Box) -> float:
    """Where a box's small print begins."""
    return 0.08 + (0.075 * len(box.name) + 0.05 if box.name else 0.0)


def _box_words(axes: Axes, box: Box, left: float, y: float) -> None:
    """The owner's letter and who uses it, or a private layer's name."""
    axes.text(left + 0.08, y, box.name, fontsize=NAME + 0.5, weight="bold", va="center_baseline", color="black")
    for index, line in enumerate(box.lines):
        at = y + LINE * (index - (len(box.lines) - 1) / 2)
        axes.text(left + _label_at(box), at, line, fontsize=SMALL, va="center_baseline", color="black")


def _end_at_words(panel: FoldedPanel, edge: tuple[str, str], arrow: Arrow) -> Sequence[tuple[float, float]]:
    """A jump past boxes to the word at the end goes on to the word, which is narrower than a box."""
    corners = list(arrow.corners)
    for index, node in ((0, edge[0]), (-1, edge[1])):
        if panel.boxes[node].word and len(corners) > 2:
            corners[index] = (0.14 if corners[index][0] > 0 else -0.14, corners[index][1])
    return corners


def _word(axes: Axes, word: str, x: float, y: float) -> None:
    """Where the flow comes from and where it goes."""
    axes.text(x, y, word, fontsize=SMALL, ha="center", va="center_baseline", color=PLAIN)


def _box(axes: Axes, place: tuple[float, float, float, float], style: tuple[str, str], *, rounded: bool) -> None:
    """A box at (left, top, width, height)."""
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    shape = "round,pad=0,rounding_size=0.06" if rounded else "square,pad=0"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=shape, facecolor=style[0], edgecolor=style[1], linewidth=0.8)
    )


def _arrow(
    axes: Axes, corners: Sequence[tuple[float, float]], color: str, *, dashed: bool = False, head: float = 6.0
) -> None:
    """A way with rounded corners and a head at its end."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    points, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_toward(corner, before), corner, _toward(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    points.append(corners[-1])
    codes.append(Path.LINETO)
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points, codes), arrowstyle="-|>,head_length=0.5,head_width=0.25", mutation_scale=head, color=color,
            linewidth=1.1, linestyle=(0, (3, 2)) if dashed else "-", joinstyle="miter", capstyle="butt", zorder=4,
        )
    )  # fmt: skip


def _toward(corner: tuple[float, float], other: tuple[float, float], radius: float = 0.06) -> tuple[float, float]:
    """The point at most `radius` from a corner on the way to another point."""
    x, y = other[0] - corner[0], other[1] - corner[1]
    length = max((x * x + y * y) ** 0.5, 1e-9)
    share = min(radius, length / 2) / length
    return corner[0] + share * x, corner[1] + share * y
