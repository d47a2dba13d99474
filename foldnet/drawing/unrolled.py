"""A stage unrolled: a row a block, with the block's layers from left to right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import networkx as nx

from foldnet.drawing.boxes import (
    BOX,
    LAYER_GAP,
    LETTER,
    NAME,
    PAD,
    SMALL,
    Cell,
    cell_inches,
    draw_arrow,
    draw_cells,
    draw_word,
    fill_and_line,
    layer_nodes,
)
from foldnet.drawing.colors import PLAIN
from foldnet.program.data import Block, Stage, is_private

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_GAP = 0.12


def unrolled_size(stage: Stage, graph: nx.MultiDiGraph) -> tuple[float, float]:
    """Width and height of the unrolled panel."""
    width = _name_room(stage) + _row_width(stage, graph) + _label_room(stage)
    return width, (len(stage.blocks) + 2) * (BOX + ROW_GAP) - ROW_GAP


def draw_unrolled(
    axes: Axes, stage: Stage, graph: nx.MultiDiGraph, colors: Mapping[str, int], left: float, top: float
) -> None:
    """A row a block, its layers from left to right; the block's label behind it where one repeats."""
    start, width = left + _name_room(stage), _row_width(stage, graph)
    middle = start + width / 2
    ys = [top + (BOX + ROW_GAP) * row for row in range(len(stage.blocks) + 2)]
    draw_word(axes, "in", middle, ys[0] + BOX / 2)
    draw_word(axes, "out", middle, ys[-1] + BOX / 2)
    for index, y in enumerate(ys[:-1]):
        # The words are less high than a block.
        above = 0.05 if index == 0 else 0.0
        below = 0.05 if index == len(ys) - 2 else 0.0
        draw_arrow(axes, ((middle, y + BOX - above), (middle, y + BOX + ROW_GAP + below)), PLAIN, head=5)
    for block, y in zip(stage.blocks, ys[1:-1], strict=True):
        cells = _cells(stage, block, graph, colors)
        draw_cells(axes, cells, start, y, width)
        at = y + BOX / 2
        if len(cells) > 1:
            axes.text(
                start - 0.06, at, _short(stage, block), fontsize=SMALL, ha="right", va="center_baseline", color=PLAIN
            )
        if _label_room(stage) and not is_private(block):
            x = start + width + 0.08
            axes.text(x, at, block.label, fontsize=NAME, va="center_baseline", weight="bold", color="black")


def _cells(stage: Stage, block: Block, graph: nx.MultiDiGraph, colors: Mapping[str, int]) -> list[Cell]:
    """The block's layers of the flow, by their owners' letters and their positions; a block that is one layer bears its
    own name."""
    nodes = layer_nodes(graph)
    uses = [use for use in block.uses if use.layer in nodes]
    owners = [graph.nodes[nodes[use.layer]] for use in uses]
    return [
        Cell(
            owner["name"] if owner["kind"] == "owner" else "",
            use.position if len(uses) > 1 else f"{_short(stage, block)}.{use.position}".removesuffix("."),
            fill_and_line(graph, nodes[use.layer], colors),
        )
        for use, owner in zip(uses, owners, strict=True)
    ]


def _short(stage: Stage, block: Block) -> str:
    """The block's name inside its stage."""
    return block.name.removeprefix(f"{stage.name}.")


def _row_width(stage: Stage, graph: nx.MultiDiGraph) -> float:
    """The width of the widest block."""
    rows = [_cells(stage, block, graph, {}) for block in stage.blocks]
    widths = [len(row) * (max(map(cell_inches, row)) + LAYER_GAP) - LAYER_GAP + 2 * PAD for row in rows if row]
    return max(widths, default=0.3)


def _name_room(stage: Stage) -> float:
    """Room for the blocks' names."""
    return 0.08 + LETTER * max((len(_short(stage, block)) for block in stage.blocks), default=0)


def _label_room(stage: Stage) -> float:
    """Room for the blocks' labels, which are of use where one repeats."""
    labels = [block.label for block in stage.blocks]
    shown = [len(block.label) for block in stage.blocks if not is_private(block)]
    return 0.12 + 0.07 * max(shown) if len(set(labels)) < len(labels) else 0.0
