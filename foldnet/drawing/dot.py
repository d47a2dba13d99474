"""The folded network as a picture: a row a stage, read from left to right, coloured by pass."""

import html
import re
from itertools import pairwise
from typing import Any

import graphviz
import networkx as nx

# Passes 1, 2 and 3 are red, green and blue as in the paper; the shades differ in lightness too, for readers who see
# red and green alike. Later passes begin again with the first colour.
PASS_COLORS = ("#d4351c", "#11875d", "#1d3fbb", "#c77700", "#9b3fa0", "#2f8fc4", "#7a4a1e", "#000000")
PLAIN = "#5a5f66"  # where there is only one pass, and outside the stages
OWNER_FILL, PRIVATE_FILL = "#dbe9f8", "#ffffff"
FONT = "Helvetica"
GRAPH_STYLE = {
    "rankdir": "LR",
    "labelloc": "t",
    "fontname": FONT,
    "fontsize": "16",
    "nodesep": "0.25",
    "ranksep": "0.4",
}
NODE_STYLE = {"fontname": FONT, "fontsize": "12", "shape": "box", "height": "0.4", "margin": "0.12,0.07"}
EDGE_STYLE = {"fontname": FONT, "fontsize": "10", "arrowsize": "0.7", "penwidth": "1.4"}
CLUSTER_STYLE = {
    "labeljust": "l",
    "fontsize": "13",
    "style": "rounded,filled",
    "color": "#c9ced6",
    "fillcolor": "#f6f7f8",
    "margin": "14",
}
RESIDUAL_STYLE = {"color": "#a5abb3", "style": "dotted", "constraint": "false", "arrowsize": "0.5"}
WORD_STYLE = {"shape": "plaintext", "fontsize": "11", "fontcolor": PLAIN, "margin": "0.04"}
ORDERS_SHOWN = 3  # an edge taken more often says how often, not when
GAINS_SHOWN = 4


def graph_dot(graph: nx.MultiDiGraph, title: str) -> graphviz.Digraph:
    """A picture of the graph that `program_graph` made: each stage a box, owners rounded, private layers with corners.

    Edges have the colour of their pass; those taken more than once, or back, say at which steps, or how
    often. Each stage has a row of its own: an edge to another stage ends at a word at the row's end, and goes
    on at the next row's.
    """
    digraph = graphviz.Digraph(
        graph_attr={**GRAPH_STYLE, "label": _title(graph, title)}, node_attr=NODE_STYLE, edge_attr=EDGE_STYLE
    )
    ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    for node, data in graph.nodes(data=True):
        if not data["stage"]:
            digraph.node(ids[node], **_node_style(data))
    for number, (stage, text) in enumerate(graph.graph["stages"].items()):
        with digraph.subgraph(name=f"cluster_{number}") as cluster:
            cluster.attr(label=_cluster_label(stage, text), **CLUSTER_STYLE)
            for node, data in graph.nodes(data=True):
                if data["stage"] == stage:
                    cluster.node(ids[node], **_node_style(data))
    starts = _draw_edges(digraph, graph, ids)
    with digraph.subgraph(graph_attr={"rank": "same"}) as column:
        for above, below in pairwise(starts):
            column.edge(above, below, style="invis")
    return digraph


def _draw_edges(digraph: graphviz.Digraph, graph: nx.MultiDiGraph, ids: dict[str, str]) -> list[str]:
    """Draw the edges; returns what each row begins with, from the first row down."""
    stages = {stage: f"{number}" for number, stage in enumerate(graph.graph["stages"])}
    starts = [ids[next(iter(graph.nodes))]]
    passes = _passes(graph)
    for source, target, data in graph.edges(data=True):
        flow = data["kind"] == "flow"
        style = _flow_style(graph, source, target, data, passes) if flow else RESIDUAL_STYLE
        leaves, enters = graph.nodes[source]["stage"], graph.nodes[target]["stage"]
        if leaves != enters and leaves and enters:
            start = f"from{stages[leaves]}to{stages[enters]}"
            if flow:
                end = f"to{stages[enters]}from{stages[leaves]}"
                digraph.node(end, f"<to {html.escape(enters)}>", **WORD_STYLE)
                digraph.node(start, f"<from {html.escape(leaves)}>", **WORD_STYLE)
                digraph.edge(ids[source], end, **style)
                starts.append(start)
            digraph.edge(start, ids[target], **({"color": PLAIN, "weight": "8"} if flow else style))
        elif data.get("back") and source != target:
            # Drawn from its target, so that nodes stand in the order in which the flow first meets them.
            digraph.edge(ids[target], ids[source], **style, dir="back")
        else:
            digraph.edge(ids[source], ids[target], **style)
    return list(dict.fromkeys(starts))


def _passes(graph: nx.MultiDiGraph) -> dict[str, int]:
    """How many passes each stage has."""
    passes: dict[str, int] = {}
    for _, _, data in graph.edges(data=True):
        if data["kind"] == "flow":
            passes[data["stage"]] = max(passes.get(data["stage"], 1), data["pass"])
    return passes


def _title(graph: nx.MultiDiGraph, title: str) -> str:
    """The title, and below it which colour is which pass."""
    drawn = {data["pass"] for _, _, data in graph.edges(data=True) if data["kind"] == "flow"}
    text = f"<b>{html.escape(title)}</b>"
    if max(drawn, default=1) > 1:
        # An edge keeps its first pass, so a pass may have no edge of its own; later passes begin again with the first colour.
        keys = (
            f'<font color="{PASS_COLORS[number - 1]}">pass {number}</font>'
            for number in sorted(drawn)
            if number <= len(PASS_COLORS)
        )
        text += f'<br/><font point-size="12">{"&#160;&#160;&#160;".join(keys)}</font>'
    return f"<{text}<br/>&#160;>"


def _cluster_label(stage: str, text: str) -> str:
    """The stage's name and its line of the program."""
    return f"<<b>{html.escape(stage)}</b>&#160;&#160;&#160;{html.escape(text)}>"


def _node_style(data: dict[str, Any]) -> dict[str, str]:
    """Label and shape of a node."""
    if data["kind"] == "owner":
        uses = f"&#160;&#160;&#215;{data['uses']}" if data["uses"] > 1 else ""
        lines = [f"<b>{html.escape(data['name'])}</b>{uses}"]
        lines += [_small(re.sub(r"(?<=\d)-(?=\d)", "–", line)) for line in data["label"].split("\n")]
        if "gains" in data:
            lines.append(_small(_gains(data["gains"])))
        return {
            "label": f"<{'<br/>'.join(lines)}>",
            "style": "rounded,filled",
            "fillcolor": OWNER_FILL,
            "color": "#4a78ad",
        }
    label = f"<{html.escape(data['name'])}>"
    if data["kind"] == "private":
        return {"label": label, "style": "filled", "fillcolor": PRIVATE_FILL, "color": "#8a9099"}
    return {"label": label, "shape": "plaintext"}


def _small(text: str) -> str:
    """A line in small print."""
    return f'<font point-size="9" color="#3c4249">{html.escape(text)}</font>'


def _gains(gains: list[float]) -> str:
    """All gains where they are few, else their range."""
    if len(gains) <= GAINS_SHOWN:
        return "gains " + ", ".join(f"{gain:.2f}" for gain in gains)
    return f"gains {min(gains):.2f} to {max(gains):.2f}"


def _flow_style(
    graph: nx.MultiDiGraph, source: str, target: str, data: dict[str, Any], passes: dict[str, int]
) -> dict[str, str]:
    """Colour, label and weight of an edge of the flow."""
    looping = bool(data["stage"]) and passes[data["stage"]] > 1
    style = {"color": PASS_COLORS[data["color"] % len(PASS_COLORS)] if looping else PLAIN}
    style["fontcolor"] = style["color"]
    style["weight"] = "1" if data["back"] else "8"  # the way forward is drawn straight
    if data["dashed"]:
        style["style"] = "dashed"
    both_ways = graph.has_edge(target, source, "flow")  # two unlabelled arrows would lie on each other
    if len(data["order"]) > 1 or data["back"] or both_ways:
        few = len(data["order"]) <= ORDERS_SHOWN
        style["label"] = ", ".join(map(str, data["order"])) if few else f"×{len(data['order'])}"
    return style
