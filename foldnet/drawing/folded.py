"""A stage folded: a column of owners and private blocks, with arrows in the colours of their passes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

from foldnet.drawing.boxes import (
    BOX,
    LAYER_GAP,
    NAME,
    PAD,
    SMALL,
    Cell,
    cell_inches,
    draw_arrow,
    draw_box,
    draw_cells,
    draw_word,
    fill_and_line,
    layer_nodes,
    name_inches,
    pass_color,
    several_passes,
)
from foldnet.drawing.fold_layout import Arrow, Column, Point, column_layout
from foldnet.drawing.passes import ranges
from foldnet.program.data import Item, Loop, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.115  # height of a line in small print
WORD = 0.13  # height of the words at both ends
LABEL_LETTERS = 30  # longer labels are wrapped
NUMBER, NUMBER_LETTER = 5.5, 0.045  # points of the numbers of passes, and the width of a digit
LOOP_ROOM = 0.14  # beyond the last lane, for the label on it


@dataclass(frozen=True, slots=True)
class FoldedPanel:
    """The folded stage, ready to be drawn."""

    graph: nx.MultiDiGraph
    rows: tuple[tuple[str, ...], ...]  # a node a row, but a block whose layers all run once keeps its layers together
    edges: tuple[tuple[str, str], ...]  # those between rows
    times: Mapping[tuple[str, str], tuple[int, ...]]  # of the loops that an edge closes
    column: Column
    width: float  # of a box

    @property
    def reach(self) -> tuple[float, float]:
        """How far it extends to the left and to the right of its middle."""
        return self.column.left + LOOP_ROOM, self.column.right + LOOP_ROOM


def folded_panel(stage: Stage, graph: nx.MultiDiGraph) -> FoldedPanel:
    """The folded stage's rows, the arrows between them, and how often loops run."""
    rows = _rows(stage, graph)
    row_of = {node: number for number, row in enumerate(rows) for node in row}
    edges = tuple(edge for edge in graph.edges() if row_of[edge[0]] != row_of[edge[1]] or edge[0] == edge[1])
    heights = [_height(graph, row) for row in rows]
    width = max(_width(graph, row) for row in rows)
    jumps = [(row_of[source], row_of[target]) for source, target in edges]
    column = column_layout(heights, jumps, width, _number_inches(graph, edges))
    return FoldedPanel(graph, rows, edges, _times(stage, layer_nodes(graph)), column, width)


def draw_folded(axes: Axes, panel: FoldedPanel, colors: Mapping[str, int], middle: float, top: float) -> None:
    """Boxes, then arrows in the colour of their pass, dashed where they jump back in a stage without loops."""
    graph, left = panel.graph, middle - panel.width / 2
    for row, y, height in zip(panel.rows, panel.column.tops, panel.column.heights, strict=True):
        if _is_word(graph, row[0]):
            word = "in" if graph.nodes[row[0]]["kind"] == "input" else "out"
            draw_word(axes, word, middle, top + y + height / 2)
        elif _is_cells(graph, row):
            color = pass_color(graph, next(data["pass"] for *_, data in graph.out_edges(row[0], data=True)))
            draw_cells(axes, _cells(graph, row, colors), left, top + y + (height - BOX) / 2, panel.width, color)
        else:
            place = (left, top + y, panel.width, height)
            draw_box(axes, place, fill_and_line(graph, row[0], colors), rounded=True)
            _draw_owner_words(axes, graph.nodes[row[0]], left + 0.08, top + y + height / 2)
    for edge, arrow in zip(panel.edges, panel.column.arrows, strict=True):
        data = graph.edges[(*edge, "flow")]
        color = pass_color(graph, data["pass"])
        corners = [(middle + x, top + y) for x, y in _up_to_words(graph, edge, arrow.corners)]
        draw_arrow(axes, corners, color, dashed=data["dashed"])
        if several_passes(graph):
            _draw_passes(axes, ranges(data["passes"]), color, (middle, top), arrow)
        if edge in panel.times:
            straight = len(corners) == 2
            place_of = (middle + arrow.label[0], top + arrow.label[1])
            _draw_times(axes, panel.times[edge], color, place_of, straight=straight)


def _rows(stage: Stage, graph: nx.MultiDiGraph) -> tuple[tuple[str, ...], ...]:
    """The nodes in order of their first visit; those of a block that all run once stand in one row."""
    nodes = layer_nodes(graph)
    together: dict[str, tuple[str, ...]] = {}
    for block in stage.blocks:
        inside = tuple(nodes[use.layer] for use in block.uses if use.layer in nodes)
        if all(graph.nodes[node]["uses"] == 1 for node in inside):
            together |= dict.fromkeys(inside, inside)
    return tuple(dict.fromkeys(together.get(node, (node,)) for node in graph.nodes))


def _is_word(graph: nx.MultiDiGraph, node: str) -> bool:
    """Whether a node is one of the flow's ends."""
    return graph.nodes[node]["kind"] in ("input", "output")


def _is_cells(graph: nx.MultiDiGraph, row: Sequence[str]) -> bool:
    """Whether a row holds layers that run once, drawn as in the unrolled panel."""
    return all(graph.nodes[node]["uses"] == 1 for node in row)


def _cells(graph: nx.MultiDiGraph, row: Sequence[str], colors: Mapping[str, int]) -> list[Cell]:
    """The layers of a row, each under its own name."""
    cells = []
    for node in row:
        data = graph.nodes[node]
        owner = data["kind"] == "owner"
        text = data["label"] if owner else data["name"]
        cells.append(Cell(data["name"] if owner else "", text, fill_and_line(graph, node, colors), rounded=owner))
    return cells


def _height(graph: nx.MultiDiGraph, row: Sequence[str]) -> float:
    """The height of a row; a loop from a box to itself needs room for its label."""
    if _is_word(graph, row[0]):
        return WORD
    height = BOX if _is_cells(graph, row) else max(BOX, 0.08 + LINE * len(_label_lines(graph.nodes[row[0]])))
    return max(height, 0.46) if graph.has_edge(row[0], row[0]) else height


def _width(graph: nx.MultiDiGraph, row: Sequence[str]) -> float:
    """The width that a row needs."""
    if _is_word(graph, row[0]):
        return 0.3
    if _is_cells(graph, row):
        cells = _cells(graph, row, {})
        return len(cells) * (max(map(cell_inches, cells)) + LAYER_GAP) - LAYER_GAP + 2 * PAD
    data = graph.nodes[row[0]]
    return 0.18 + name_inches(_owner_name(data)) + 0.05 * max(map(len, _label_lines(data)))


def _owner_name(data: Mapping[str, Any]) -> str:
    """The owner's letter and how many layers use it."""
    return f"{data['name']} ×{data['uses']}"


def _label_lines(data: Mapping[str, Any]) -> list[str]:
    """Who uses an owner, wrapped."""
    lines = [re.sub(r"(?<=\d)-(?=\d)", "–", line) for line in data["label"].split("\n")]
    return [part for line in lines for part in textwrap.wrap(line, LABEL_LETTERS) or [""]]


def _draw_owner_words(axes: Axes, data: Mapping[str, Any], x: float, y: float) -> None:
    """The owner's letter, how many layers use it, and which."""
    name, lines = _owner_name(data), _label_lines(data)
    axes.text(x, y, name, fontsize=NAME, weight="bold", va="center_baseline", color="black")
    for index, line in enumerate(lines):
        at = y + LINE * (index - (len(lines) - 1) / 2)
        axes.text(x + name_inches(name), at, line, fontsize=SMALL, va="center_baseline", color="black")


def _up_to_words(graph: nx.MultiDiGraph, edge: tuple[str, str], corners: Sequence[Point]) -> list[Point]:
    """The arrow's way; beside the column it goes on to a word, which is narrower than a box."""
    moved = list(corners)
    for index, node in ((0, edge[0]), (-1, edge[1])):
        if len(moved) > 2 and _is_word(graph, node):
            moved[index] = (0.14 if moved[index][0] > 0 else -0.14, moved[index][1])
    return moved


def _number_inches(graph: nx.MultiDiGraph, edges: Sequence[tuple[str, str]]) -> float:
    """Room for the longest numbers of passes on an arrow beside the column."""
    if not several_passes(graph):
        return 0.0
    return max(len(ranges(graph.edges[(*edge, "flow")]["passes"])) for edge in edges) * NUMBER_LETTER + 0.16


def _draw_passes(axes: Axes, numbers: str, color: str, corner: Point, arrow: Arrow) -> None:
    """The passes that take an arrow: left of one inside the column, on the beginning of one beside it."""
    straight = len(arrow.corners) == 2
    x, y = arrow.label if straight else arrow.corners[0]
    beside = -1 if straight or arrow.corners[1][0] < x else 1
    axes.text(
        corner[0] + x + (0.07 if straight else 0.04) * beside,
        corner[1] + y,
        numbers,
        color=color,
        fontsize=NUMBER,
        ha="right" if beside < 0 else "left",
        va="center_baseline",
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
    )


def _draw_times(axes: Axes, times: Sequence[int], color: str, place: Point, *, straight: bool) -> None:
    """How often loops run: on their arrow beside the column, or next to one inside it."""
    axes.text(
        place[0] + (0.05 if straight else 0.0),
        place[1],
        ", ".join(f"{number}x" for number in times),
        color=color,
        fontsize=7.5,
        weight="bold",
        ha="left" if straight else "center",
        va="center",
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
    )


def _times(stage: Stage, nodes: Mapping[str, str]) -> dict[tuple[str, str], tuple[int, ...]]:
    """How often the loops run whose end leads to their beginning by an edge."""
    layers = [[use.layer for use in block.uses if use.layer in nodes] for block in stage.blocks]
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    seen: set[str] = set()

    def walk(items: Sequence[Item], first: int) -> int:
        """Read items from the block at `first` on; the block after them."""
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
