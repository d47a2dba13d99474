"""The paper's Figure 4: each stage unrolled, its layer similarity matrix, and the stage folded.

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701; arrows have the colours of its Figure 6. Drawn without
Graphviz.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.boxes import Point, write
from foldnet.drawing.colors import BOX_LINE, FAINT_LINE, INK, distinct
from foldnet.drawing.figures import check_some, new_figure, place_axes, styled, title_inches
from foldnet.drawing.graph import layer_nodes, pass_words, stage_graphs
from foldnet.drawing.heatmaps import NAMES_UP_TO, draw_matrix, short_names
from foldnet.drawing.stage_panels import FoldedPanel, UnrolledPanel, folded_panel, unrolled_panel
from foldnet.errors import SettingError
from foldnet.program.data import Stage
from foldnet.program.text import stage_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN, COLUMN_GAP, ROW_GAP = 0.12, 0.3, 0.15
HEAD_LINE = 0.15  # a line of a stage's program
CELL, LEAST_SIDE, MOST_SIDE = 0.27, 0.9, 2.2
NAME_LINE = 0.088  # a smaller cell has no room for its layer's name
VALUE_CELL = 0.21  # a smaller cell has no room for its number
STRIP = 0.07  # the owners' colours along the matrix
LEGEND_LINE, WORD_GAP = 0.17, 0.2
TEXT_LETTER = 0.066  # width of a letter of a stage's program


@dataclass(frozen=True, slots=True)
class FoldedStage:
    """One row: a stage of the program, the L layers that share in it, the (L, L) similarity by which they were tied,
    and their clusters."""

    stage: Stage
    layers: tuple[str, ...]
    matrix: NDArray[np.float64]
    clusters: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A stage's three panels with their sizes, in inches."""

    data: FoldedStage
    graph: nx.MultiDiGraph
    folded: FoldedPanel
    unrolled: UnrolledPanel
    names: tuple[str, ...]

    @property
    def side(self) -> float:
        """Of the matrix."""
        count = len(self.names)
        named = NAME_LINE * count if count <= NAMES_UP_TO else 0.0
        return max(float(np.clip(CELL * count, LEAST_SIDE, MOST_SIDE)), named)

    @property
    def name_room(self) -> float:
        """Room for the layers' names and owners' colours beside the matrix."""
        return 0.08 + STRIP + 0.052 * max(map(len, self.names), default=0)

    @property
    def height(self) -> float:
        """Of the highest panel."""
        return max(self.unrolled.height, STRIP + self.side, self.folded.column.height)


@styled()
def fold_figure(stages: Sequence[FoldedStage], title: str = "") -> Figure:
    """A row for each stage: its layers unrolled, its similarity matrix, and the folded stage.

    Layers that share an owner have its colour in all three; private layers are white, owners with one layer
    grey. In the matrix white is 1 and the cells of a cluster are framed. Arrows of the folded stage have the
    colour of their pass; those that jump back in a stage without loops are dashed. Raises SettingError where
    there is no stage, and where a matrix or a cluster does not fit its layers.
    """
    check_some(stages, "there is no stage to draw; fold a network with stages first")
    for data in stages:
        _check_fit(data)
    graphs = stage_graphs([data.stage for data in stages])
    rows = [_row(data, graph) for data, graph in zip(stages, graphs, strict=True)]
    reach = [max(sides) for sides in zip(*(row.folded.reach for row in rows), strict=True)]
    widths = max(row.unrolled.width for row in rows), max(row.name_room + row.side for row in rows), sum(reach)
    needed = sum(widths) + 2 * COLUMN_GAP + 2 * MARGIN
    width = max(needed, title_inches(title))
    heads = [textwrap.wrap(stage_text(row.data.stage), int((needed - 1.2) / TEXT_LETTER)) for row in rows]
    head_rooms = [HEAD_LINE * max(len(head), 1) + 0.1 for head in heads]
    legend = _legend(rows, needed - 2 * MARGIN)
    top = (0.4 if title else 0.1) + 0.2
    height = top + sum(head_rooms) + sum(row.height + ROW_GAP for row in rows) + LEGEND_LINE * len(legend) + 0.08
    left = (width - needed) / 2 + MARGIN
    middle, right = left + widths[0] + COLUMN_GAP, left + widths[0] + widths[1] + 2 * COLUMN_GAP
    figure = new_figure((width, height), title)
    page = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    columns = {"unrolled": left + widths[0] / 2, "layer similarity": middle + widths[1] / 2, "folded": right + reach[0]}
    for word, x in columns.items():
        write(page, x, top - 0.12, word, 8, ha="center", va="center", color=INK, style="italic")
    y = top
    for row, head, room in zip(rows, heads, head_rooms, strict=True):
        _write_head(page, row.data.stage.name, head, (left, width - left), y)
        y += room
        row.unrolled.draw(page, left, y + (row.height - row.unrolled.height) / 2)
        x = middle + (widths[1] - row.name_room - row.side) / 2 + row.name_room
        _draw_similarity(figure, page, row, (x, y + (row.height - row.side + STRIP) / 2))
        row.folded.draw(page, right + reach[0], y + (row.height - row.folded.column.height) / 2)
        y += row.height + ROW_GAP
    _draw_legend(page, legend, width / 2, y + LEGEND_LINE / 2)
    return figure


def _check_fit(data: FoldedStage) -> None:
    """Raise SettingError where the matrix or a cluster does not fit the layers."""
    name, count, shape = data.stage.name, len(data.layers), np.shape(data.matrix)
    if count and shape != (count, count):
        said = " x ".join(map(str, shape)) or "a number"
        raise SettingError(
            f"the similarity matrix of '{name}' is {said}, but {count} layers share; give one of {count} x {count}"
        )
    for index in (index for cluster in data.clusters for index in cluster):
        if not 0 <= index < count:
            raise SettingError(
                f"a cluster of '{name}' names layer {index}, but {count} layers share; "
                "count them from 0 in the order of the matrix"
            )


def _row(data: FoldedStage, graph: nx.MultiDiGraph) -> Row:
    """The stage's panels, measured."""
    names = short_names(data.stage.name, data.layers)
    if len(names) > NAMES_UP_TO:
        names = ("",) * len(names)
    return Row(data, graph, folded_panel(data.stage, graph), unrolled_panel(data.stage, graph), names)


def _write_head(page: Axes, name: str, head: Sequence[str], ends: Point, y: float) -> None:
    """A rule, the stage's name, and its lines of the program."""
    page.plot(ends, (y, y), color=FAINT_LINE, linewidth=0.7, linestyle="-", marker="")
    write(page, ends[0], y + 0.13, name, 8.5, weight="bold")
    start = ends[0] + 0.15 + 0.085 * len(name)
    for index, line in enumerate(head):
        write(page, start, y + 0.13 + HEAD_LINE * index, line, 7.5, color=INK)


def _draw_similarity(figure: Figure, page: Axes, row: Row, place: Point) -> None:
    """The matrix at (left, top), frames around the cells of clusters, and the owners' colours along it."""
    from matplotlib.patches import Rectangle

    count, (x, y), side = len(row.names), place, row.side
    if not count:
        write(page, x + side / 2, y + side / 2, "no layers share", 7, ha="center", va="center", color=BOX_LINE)
        return
    axes, cell = place_axes(figure, x, y, side), side / count
    draw_matrix(axes, np.asarray(row.data.matrix, dtype=np.float64), digits=5.5 if cell >= VALUE_CELL else 0)
    nodes = layer_nodes(row.graph)
    styles: list[Any] = [row.graph.nodes[nodes[at]]["style"] if at in nodes else None for at in row.data.layers]
    for index, (name, style) in enumerate(zip(row.names, styles, strict=True)):
        at = index * cell
        write(page, x - STRIP - 0.05, y + at + cell / 2, name, ha="right")
        if style:
            line: dict[str, Any] = {"facecolor": style[0], "edgecolor": style[1], "linewidth": 0.4}
            page.add_patch(Rectangle((x - STRIP - 0.01, y + at), STRIP - 0.01, cell, **line))
            page.add_patch(Rectangle((x + at, y - STRIP - 0.01), cell, STRIP - 0.01, **line))
    for cluster in (cluster for cluster in row.data.clusters if len(cluster) > 1):
        if style := styles[cluster[0]]:
            frame: dict[str, Any] = {"fill": False, "edgecolor": style[1], "linewidth": min(1.4, 9 * cell)}
            for i, j in product(cluster, cluster):
                axes.add_patch(Rectangle((j - 0.44, i - 0.44), 0.88, 0.88, **frame))


def _legend(rows: Sequence[Row], width: float) -> list[list[tuple[str, str]]]:
    """Words and their colours, in lines that fit the page: passes, and what the figures' signs mean."""
    edges = [data for row in rows for *_, data in row.graph.edges(data=True)]
    last = max(data["passes"][-1] for data in edges)
    passes = pass_words({data["pass"] for data in edges}, last) if last > 1 else ()
    signs = {
        "number at an arrow: the passes that take it": last > 1,
        "3x: the loop runs three times": any(row.folded.times for row in rows),
        "×3: three layers use the weight": any(uses > 1 for row in rows for _, uses in row.graph.nodes(data="uses")),
        "dashed: jumps back, but no loop": any(data["dashed"] for data in edges),
    }
    words = [("similarity: white 1, black 0", INK)]
    words += [(said, INK if number is None else distinct(number - 1)) for said, number in passes]
    words += [(said, INK) for said, stands in signs.items() if stands]
    lines: list[list[tuple[str, str]]] = [[]]
    for word in words:
        if lines[-1] and _line_inches([*lines[-1], word]) > width:
            lines.append([])
        lines[-1].append(word)
    return lines


def _line_inches(words: Sequence[tuple[str, str]]) -> float:
    """The width of a line of the legend."""
    return sum(_word_inches(word, color) for word, color in words) + WORD_GAP * (len(words) - 1)


def _word_inches(word: str, color: str) -> float:
    """The width of a word, which is bold where it has a pass's colour."""
    return (0.049 if color == INK else 0.06) * len(word)


def _draw_legend(page: Axes, lines: Sequence[Sequence[tuple[str, str]]], middle: float, y: float) -> None:
    """The lines, each centred."""
    for line in lines:
        x = middle - _line_inches(line) / 2
        for word, color in line:
            write(page, x, y, word, 7, color=color, weight="normal" if color == INK else "bold")
            x += _word_inches(word, color) + WORD_GAP
        y += LEGEND_LINE
