"""A stage unrolled: a row a block, with the block's layers from left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from foldnet.drawing.boxes import BOX, NAME, Cell, block_inches, draw_arrow, draw_block, write
from foldnet.drawing.colors import PLAIN
from foldnet.drawing.stage_graphs import layer_nodes
from foldnet.program.data import Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_GAP = 0.12
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


def draw_unrolled(axes: Axes, panel: UnrolledPanel, left: float, top: float) -> None:
    """A row a block, its layers from left to right; the block's label behind it where one repeats."""
    start, width = left + panel.name_room, panel.row_width
    middle = start + width / 2
    ys = [top + (BOX + ROW_GAP) * row for row in range(len(panel.rows) + 2)]
    write(axes, middle, ys[0] + BOX / 2, "in", ha="center", color=PLAIN)
    write(axes, middle, ys[-1] + BOX / 2, "out", ha="center", color=PLAIN)
    for index, y in enumerate(ys[:-1]):
        # The words are less high than a block.
        above, below = 0.05 * (index == 0), 0.05 * (index == len(ys) - 2)
        draw_arrow(axes, ((middle, y + BOX - above), (middle, y + BOX + ROW_GAP + below)), PLAIN, head=5)
    for (name, cells, label), y in zip(panel.rows, ys[1:-1], strict=True):
        draw_block(axes, cells, start, y, width)
        if len(cells) > 1:
            write(axes, start - 0.06, y + BOX / 2, name, ha="right", color=PLAIN)
        if label:
            write(axes, start + width + 0.08, y + BOX / 2, label, NAME, weight="bold")
