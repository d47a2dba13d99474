"""Which layer mixes which templates, as a picture: layers and templates as nodes, coefficients as weighted edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import graphviz
import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.colors import BOX_LINE, FAINT_LINE, NEGATIVE, OWNER_BOX, POSITIVE, PRIVATE_BOX
from foldnet.drawing.dot import FONT, html_label, text_of
from foldnet.show.report import spelt_out

# Of a row's largest coefficient: what is below is not drawn, in a group of few coefficients and in one of more than
# MANY.
FAINTEST, MANY, FAINTEST_OF_MANY = 0.05, 24, 0.25
WIDEST = 4.0  # points
VALUES_SHOWN = 8  # a group with more edges shows no numbers
VALUE_PLACE = 0.24  # of the way from layer to template

# Inches. The places are ours and not the layout program's: it would shuffle the layers to cross fewer edges.
GROUPS_A_ROW = 4
ROW, TALL_ROW, SPAN, TEMPLATE, MARGIN, HEADING, GAP = 0.48, 0.8, 1.7, 0.45, 0.2, 0.5, 0.4
LETTER = 0.095  # width of a letter at 12 points

GRAPH_STYLE = {"layout": "neato", "outputorder": "edgesfirst", "labelloc": "t", "fontsize": "16", "splines": "line"}
NODE_STYLE = {"fontsize": "12", "style": "filled", "color": BOX_LINE, "fixedsize": "true", "shape": "box"}
EDGE_STYLE = {"fontname": FONT, "dir": "none"}
VALUE_STYLE = {"color": "white", "fillcolor": "white", "width": "0.38", "height": "0.15", "fontsize": "9"}


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """Who mixes what in one group: coefficients (L, K)."""

    name: str
    layers: tuple[str, ...]
    coefficients: NDArray[np.floating]


def sharing_dot(groups: Sequence[SharedGroup], title: str) -> graphviz.Digraph:
    """A picture of the groups side by side: layers on the left of each, templates on the right.

    The width and strength of an edge is |coefficient| over the largest of its layer's, its colour is the
    sign: red plus, blue minus. What is below a twentieth of the largest, or a quarter where a group has more than 24
    coefficients, is left out, and the group says how many that are.
    """
    whole, node = {**GRAPH_STYLE, "label": _title(title), "fontname": FONT}, {**NODE_STYLE, "fontname": FONT}
    digraph = graphviz.Digraph(spelt_out(title), graph_attr=whole, node_attr=node, edge_attr=EDGE_STYLE)
    top = 0.0
    for first in range(0, len(groups), GROUPS_A_ROW):
        left = lowest = 0.0
        for number, group in enumerate(groups[first : first + GROUPS_A_ROW], start=first):
            width, height = _draw_group(digraph, group, number, left, top)
            left += width + GAP
            lowest = max(lowest, height)
        top -= lowest + GAP
    return digraph


def _draw_group(
    digraph: graphviz.Digraph, group: SharedGroup, number: int, left: float, top: float
) -> tuple[float, float]:
    """A box with a column of layers, one of templates, and the coefficients between them; its width and height."""
    names = [layer.removeprefix(f"{group.name}.") for layer in group.layers]
    templates = group.coefficients.shape[1]
    layer_width = max((LETTER * len(name) for name in names), default=0) + 0.3
    width = layer_width + SPAN + TEMPLATE + 2 * MARGIN
    drawn, faintest = _drawn(group.coefficients)
    inner = (TALL_ROW if len(drawn) <= VALUES_SHOWN else ROW) * max(len(names), templates)
    height = inner + HEADING + MARGIN

    def node(name: str, label: str, x: float, y: float, **style: str) -> None:
        digraph.node(f"g{number}{name}", label, pos=f"{x:.3f},{y:.3f}!", **style)

    size = {"width": f"{width:.3f}", "height": f"{height:.3f}"}
    node("", "", left + width / 2, top - height / 2, style="rounded", color=FAINT_LINE, **size)
    heading = [f"<b>{text_of(group.name)}</b>"]
    if hidden := group.coefficients.size - len(drawn):
        below = f"hidden: {hidden} of {group.coefficients.size}, below {100 * faintest:.0f} %"
        heading.append(f'<font point-size="9">{below}</font>')
    plain = {"shape": "plaintext", "style": "", "fontsize": "13"}
    node("name", html_label(*heading), left + width / 2, top - HEADING / 2, **plain)
    x_layer, x_template = left + MARGIN + layer_width / 2, left + width - MARGIN - TEMPLATE / 2
    layers_y, templates_y = (
        [top - HEADING - inner * (index + 0.5) / count for index in range(count)] for count in (len(names), templates)
    )
    layer_style = {"width": f"{layer_width:.3f}", "height": "0.34", "fillcolor": PRIVATE_BOX[0]}
    for row, (name, y) in enumerate(zip(names, layers_y, strict=True)):
        node(f"l{row}", html_label(text_of(name)), x_layer, y, **layer_style)
    template_style = {"shape": "circle", "width": f"{TEMPLATE}", "fillcolor": OWNER_BOX[0]}
    for column, y in enumerate(templates_y):
        node(f"t{column}", f"<T<sub>{column + 1}</sub>>", x_template, y, **template_style)
    start, end = x_layer + layer_width / 2, x_template - TEMPLATE / 2
    for row, column, value, strength in drawn:
        thick = f"{max(0.4, WIDEST * strength):.2f}"
        digraph.edge(f"g{number}l{row}:e", f"g{number}t{column}:w", color=_tint(strength, value), penwidth=thick)
        if len(drawn) <= VALUES_SHOWN:
            x, y = (a + VALUE_PLACE * (b - a) for a, b in ((start, end), (layers_y[row], templates_y[column])))
            text = f"{value:+.2f}".replace("-", "−")
            node(f"v{row}x{column}", text, x, y, fontcolor=_tint(1.0, value), **VALUE_STYLE)
    return width, height


def _drawn(coefficients: NDArray[np.floating]) -> tuple[list[tuple[int, int, float, float]], float]:
    """(row, column, value, |value| over the row's largest) of what is drawn, and the least such share that is.

    The faint come first: the strong lie on top.
    """
    faintest = FAINTEST if coefficients.size <= MANY else FAINTEST_OF_MANY
    largest = np.abs(coefficients).max(axis=1, keepdims=True, initial=0)
    strengths = np.divide(np.abs(coefficients), largest, out=np.zeros(coefficients.shape), where=largest > 0)
    places = np.argwhere(strengths >= faintest).tolist()
    drawn = [(row, column, float(coefficients[row, column]), float(strengths[row, column])) for row, column in places]
    return sorted(drawn, key=lambda edge: edge[3]), faintest


def _tint(strength: float, value: float) -> str:
    """The sign's colour, paler the weaker the edge; mixed with white, since not every format knows transparency."""
    full = POSITIVE if value >= 0 else NEGATIVE
    share = 0.15 + 0.85 * strength
    return "#" + "".join(f"{round(255 + (channel - 255) * share):02x}" for channel in full)


def _title(title: str) -> str:
    """The title and what the colours say."""
    signs = ((_tint(1.0, 1.0), "positive"), (_tint(1.0, -1.0), "negative"))
    keys = ", ".join(f'<font color="{color}">{word}</font>' for color, word in signs)
    scale = f"coefficients:&#160;{keys}, width by size, in % of the layer&#39;s largest"
    return html_label(f"<b>{text_of(title)}</b>", f'<font point-size="12">{scale}</font>', "&#160;")
