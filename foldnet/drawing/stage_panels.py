"""A stage's panels in a fold's figure: unrolled, a row a block with its layers from left to right, and folded, a column
of owners and private blocks with arrows in the colours of their passes."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

from foldnet.drawing.boxes import BOX, NAME, Cell, Point, block_inches, draw_arrow, draw_block, draw_box, write
from foldnet.drawing.colors import PLAIN
from foldnet.drawing.fold_layout import Arrow, Column, column_layout
from foldnet.drawing.graph import label_lines, layer_nodes, ranges, several_passes
from foldnet.program.data import Item, Loop, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_GAP = 0.12  # between the rows of the unrolled stage
LETTER = 0.054  # width of a letter in small print


@dataclass(frozen=True, slots=True)
class UnrolledPanel:
    """The unrolled stage, ready to be drawn: of each block its name inside the stage, its layers, and its label where
    one repeats."""

    rows: tuple[tuple[str, list[Cell], str], ...]

    @property
    def name_room(self) -> float:
        """Room for the blocks' names."""
        return 0.08 + LETTER * max((len(name) for name, *_ in self.rows), default=0)

    @property
    def row_width(self) -> float:
        """The width of the widest block."""
        return max((block_inches(cells) for _, cells, _ in self.rows if cells), default=0.3)

    @property
    def width(self) -> float:
        """Of all, the labels included."""
        longest = max((len(label) for *_, label in self.rows), default=0)
        return self.name_room + self.row_width + (0.12 + 0.07 * longest if longest else 0.0)

    @property
    def height(self) -> float:
        """Of the rows, and of the words above and below them."""
        return (len(self.rows) + 2) * (BOX + ROW_GAP) - ROW_GAP

    def draw(self, axes: Axes, left: float, top: float) -> None:
        """A row a block, its layers from left to right; the block's label behind it where one repeats."""
        start, width = left + self.name_room, self.row_width
        middle = start + width / 2
        ys = [top + (BOX + ROW_GAP) * row for row in range(len(self.rows) + 2)]
        write(axes, middle, ys[0] + BOX / 2, "in", ha="center", color=PLAIN)
        write(axes, middle, ys[-1] + BOX / 2, "out", ha="center", color=PLAIN)
        for index, y in enumerate(ys[:-1]):
            # The words are less high than a block.
            above, below = 0.05 * (index == 0), 0.05 * (index == len(ys) - 2)
            draw_arrow(axes, ((middle, y + BOX - above), (middle, y + BOX + ROW_GAP + below)), PLAIN, head=5)
        for (name, cells, label), y in zip(self.rows, ys[1:-1], strict=True):
            draw_block(axes, cells, start, y, width)
            if len(cells) > 1:
                write(axes, start - 0.06, y + BOX / 2, name, ha="right", color=PLAIN)
            if label:
                write(axes, start + width + 0.08, y + BOX / 2, label, NAME, weight="bold")


def unrolled_panel(stage: Stage, graph: nx.MultiDiGraph) -> UnrolledPanel:
    """The layers of the flow by their owners' letters and their positions; a block that is one layer bears its own
    name."""
    nodes, rows = layer_nodes(graph), []
    repeats = len({block.label for block in stage.blocks}) < len(stage.blocks)
    for block in stage.blocks:
        short, cells = block.name.removeprefix(f"{stage.name}."), []
        uses = [use for use in block.uses if use.layer in nodes]
        for use in uses:
            data = graph.nodes[nodes[use.layer]]
            text = use.position if len(uses) > 1 else f"{short}.{use.position}".removesuffix(".")
            cells.append(Cell(data["name"] if data["kind"] == "owner" else "", text, data["style"]))
        rows.append((short, cells, block.label if repeats and not block.private else ""))
    return UnrolledPanel(tuple(rows))


WORD = 0.13  # height of the words at both ends
LABEL_LETTERS = 30  # longer labels are wrapped
NUMBER, NUMBER_LETTER = 5.5, 0.045  # points of the numbers of passes, and the width of a digit
LOOP_ROOM = 0.14  # beyond the last lane, for the label on it


@dataclass(frozen=True, slots=True)
class Row:
    """A word at one of the flow's ends, an owner that several layers use, or a block whose layers all run once."""

    nodes: tuple[str, ...]
    cells: tuple[Cell, ...] = ()
    word: str = ""
    shared: bool = False

    @property
    def height(self) -> float:
        """Of an owner, that of its lines."""
        if self.word:
            return WORD
        return max(BOX, self.cells[0].height) if self.shared else BOX

    @property
    def width(self) -> float:
        """What the words need."""
        if self.word:
            return 0.3
        return self.cells[0].width + 0.04 if self.shared else block_inches(self.cells)


@dataclass(frozen=True, slots=True)
class FoldedPanel:
    """The folded stage, ready to be drawn."""

    graph: nx.MultiDiGraph
    rows: tuple[Row, ...]
    edges: tuple[tuple[str, str], ...]  # those between rows
    times: Mapping[tuple[str, str], Sequence[int]]  # of the loops that an edge closes
    column: Column
    width: float  # of a box

    @property
    def reach(self) -> Point:
        """How far it extends to the left and to the right of its middle."""
        return self.column.left + LOOP_ROOM, self.column.right + LOOP_ROOM

    def draw(self, axes: Axes, middle: float, top: float) -> None:
        """Boxes, then arrows in the colour of their pass, dashed where they jump back in a stage without loops."""
        left, words = middle - self.width / 2, {row.nodes[0] for row in self.rows if row.word}
        for row, start, height in zip(self.rows, self.column.tops, self.column.heights, strict=True):
            y = top + start + height / 2
            if row.word:
                write(axes, middle, y, row.word, ha="center", color=PLAIN)
            elif row.shared:
                draw_box(axes, (left, top + start, self.width, height), row.cells[0].style, rounded=True)
                row.cells[0].write(axes, left + 0.08, y)
            else:
                shade = next(shade for *_, shade in self.graph.out_edges(row.nodes[0], data="shade"))
                draw_block(axes, row.cells, left, y - BOX / 2, self.width, shade)
        for edge, arrow in zip(self.edges, self.column.arrows, strict=True):
            data = self.graph.edges[(*edge, "flow")]
            corners = [(middle + x, top + y) for x, y in arrow.corners]
            for index, node in ((0, edge[0]), (-1, edge[1])):
                # Beside the column the way goes on to a word, which is narrower than a box.
                if len(corners) > 2 and node in words:
                    corners[index] = middle + (0.14 if corners[index][0] > middle else -0.14), corners[index][1]
            draw_arrow(axes, corners, data["shade"], dashed=data["dashed"])
            if several_passes(self.graph):
                _write_passes(axes, ranges(data["passes"]), data["shade"], (middle, top), arrow)
            if edge in self.times:
                _write_times(axes, self.times[edge], data["shade"], (middle, top), arrow)


def folded_panel(stage: Stage, graph: nx.MultiDiGraph) -> FoldedPanel:
    """The folded stage's rows, the arrows between them, and how often loops run."""
    rows = tuple(_row(graph, nodes) for nodes in _together(stage, graph))
    row_of = {node: number for number, row in enumerate(rows) for node in row.nodes}
    edges = tuple(edge for edge in graph.edges() if row_of[edge[0]] != row_of[edge[1]] or edge[0] == edge[1])
    # A loop from a box to itself needs room for its label.
    heights = [max(row.height, 0.46 * graph.has_edge(row.nodes[0], row.nodes[0])) for row in rows]
    width = max(row.width for row in rows)
    jumps = [(row_of[source], row_of[target]) for source, target in edges]
    numbers = [len(ranges(graph.edges[(*edge, "flow")]["passes"])) for edge in edges]
    beside = max(numbers) * NUMBER_LETTER + 0.16 if several_passes(graph) else 0.0
    return FoldedPanel(graph, rows, edges, _times(stage, graph), column_layout(heights, jumps, width, beside), width)


def _together(stage: Stage, graph: nx.MultiDiGraph) -> list[tuple[str, ...]]:
    """The nodes in order of their first visit; those of a block that all run once stand in one row."""
    nodes = layer_nodes(graph)
    together: dict[str, tuple[str, ...]] = {}
    for block in stage.blocks:
        inside = tuple(nodes[use.layer] for use in block.uses if use.layer in nodes)
        if all(graph.nodes[node]["uses"] == 1 for node in inside):
            together |= dict.fromkeys(inside, inside)
    return list(dict.fromkeys(together.get(node, (node,)) for node in graph.nodes))


def _row(graph: nx.MultiDiGraph, nodes: tuple[str, ...]) -> Row:
    """A row of nodes, in words."""
    first = graph.nodes[nodes[0]]
    if first["kind"] in ("input", "output"):
        return Row(nodes, word=first["kind"].removesuffix("put"))
    if first["uses"] > 1:
        lines = [part for line in label_lines(first) for part in textwrap.wrap(line, LABEL_LETTERS) or [""]]
        cell = Cell(f"{first['name']} ×{first['uses']}", "\n".join(lines), first["style"], rounded=True)
        return Row(nodes, (cell,), shared=True)
    cells = []
    for data in (graph.nodes[node] for node in nodes):
        owner = data["kind"] == "owner"
        name, text = (data["name"], data["label"]) if owner else ("", data["name"])
        cells.append(Cell(name, text, data["style"], rounded=owner))
    return Row(nodes, tuple(cells))


def _write_passes(axes: Axes, numbers: str, color: str, corner: Point, arrow: Arrow) -> None:
    """The passes that take an arrow: left of one inside the column, on the beginning of one beside it."""
    straight = len(arrow.corners) == 2
    x, y = arrow.label if straight else arrow.corners[0]
    beside = -1 if straight or arrow.corners[1][0] < x else 1
    at = corner[0] + x + (0.07 if straight else 0.04) * beside, corner[1] + y
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}
    write(axes, *at, numbers, NUMBER, color=color, ha="right" if beside < 0 else "left", zorder=5, bbox=plate)


def _write_times(axes: Axes, times: Sequence[int], color: str, corner: Point, arrow: Arrow) -> None:
    """How often loops run: on their arrow beside the column, or next to one inside it."""
    straight = len(arrow.corners) == 2
    at = corner[0] + arrow.label[0] + (0.05 if straight else 0.0), corner[1] + arrow.label[1]
    style: dict[str, Any] = {"weight": "bold", "ha": "left" if straight else "center", "va": "center", "zorder": 5}
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    write(axes, *at, ", ".join(f"{number}x" for number in times), 7.5, color=color, bbox=plate, **style)


def _times(stage: Stage, graph: nx.MultiDiGraph) -> dict[tuple[str, str], list[int]]:
    """How often the loops run whose end leads to their beginning by an edge."""
    nodes = layer_nodes(graph)
    blocks = [[nodes[use.layer] for use in block.uses if use.layer in nodes] for block in stage.blocks]
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    seen: set[str] = set()

    def walk(items: Sequence[Item], first: int) -> int:
        """Read items from the block at `first` on; the block after them."""
        for item in items:
            if not isinstance(item, Loop):
                first += 1
                continue
            after = walk(item.body, first)
            if item.name not in seen and blocks[first] and blocks[after - 1]:
                seen.add(item.name)
                found[blocks[after - 1][-1], blocks[first][0]].append(item.times)
            first += item.times * (after - first)
        return first

    walk(stage.items, 0)
    return found
