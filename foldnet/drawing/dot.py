"""The folded network as a picture: a row a stage, read from left to right, coloured by pass."""

import html
import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import graphviz
import networkx as nx

from foldnet.drawing.colors import (
    BOX_LINE,
    FAINT_LINE,
    INK,
    OWNER_FILL,
    OWNER_LINE,
    PLAIN,
    PRIVATE_FILL,
    RESIDUAL_LINE,
    STAGE_FILL,
    distinct,
)
from foldnet.drawing.graph import label_lines, pass_words, ranges
from foldnet.drawing.output import DOT_ENDINGS, GRAPH_ENDINGS, SOURCE, check_ending
from foldnet.errors import MissingTool, OutputError
from foldnet.store.files import write_whole

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
    "color": FAINT_LINE,
    "fillcolor": STAGE_FILL,
    "margin": "14",
}
RESIDUAL_STYLE = {"color": RESIDUAL_LINE, "style": "dotted", "constraint": "false", "arrowsize": "0.5"}
WORD_STYLE = {"shape": "plaintext", "fontsize": "11", "fontcolor": PLAIN, "margin": "0.04"}
GAP = "&#160;&#160;"  # at the end of a text: some viewers drop every space, also such, at a text's beginning
# Around what stands at an arrow: without it arrows that run beside each other touch it.
ROOM = '<table border="0" cellborder="0" cellspacing="0" cellpadding="4"><tr><td>'
END_OF_ROOM = "</td></tr></table>"
ORDERS_SHOWN = 3  # an edge taken more often says how often, not when
GAINS_SHOWN = 4


def graph_dot(graph: nx.MultiDiGraph, title: str) -> graphviz.Digraph:
    """A picture of the graph that `program_graph` made: each stage a box, owners rounded, private layers with corners.

    In a stage of several passes, edges have the colour of their first pass and say which passes take them. Those taken
    more than once, or back, say at which steps, or how often. Each stage has a row of its own: an edge to another stage
    ends at a word at the row's end, and goes on at the next row's.
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
            passes[data["stage"]] = max(passes.get(data["stage"], 1), data["passes"][-1])
    return passes


def _title(graph: nx.MultiDiGraph, title: str) -> str:
    """The title, below it which colour is which pass, and what stands at the edges."""
    edges = [data for _, _, data in graph.edges(data=True) if data["kind"] == "flow"]
    last, lines = max(data["passes"][-1] for data in edges), [f"<b>{html.escape(title)}</b>"]
    if last > 1:
        keys = (
            f'<font color="{PLAIN if number is None else distinct(number - 1)}">{word}{GAP * 2}</font>'
            for word, number in pass_words({data["pass"] for data in edges}, last)
        )
        lines.append(f'<font point-size="12">{"".join(keys)}</font>')
    steps = any(_says_when(graph, source, target, data) for source, target, data in graph.edges(data=True))
    said = [
        *(["the passes that take it"] * (last > 1)),
        *(["at which steps of the network, or how often (&#215;)"] * steps),
    ]
    if said:
        lines.append(_small_html(f"at an arrow: {', and '.join(said)}"))
    return f"<{'<br/>'.join([*lines, '&#160;'])}>"


def _cluster_label(stage: str, text: str) -> str:
    """The stage's name and its line of the program."""
    return f"<<b>{html.escape(stage)}{GAP}</b>{html.escape(text)}>"


def _node_style(data: dict[str, Any]) -> dict[str, str]:
    """Label and shape of a node."""
    if data["kind"] == "owner":
        gap, uses = (GAP, f"&#215;{data['uses']}") if data["uses"] > 1 else ("", "")
        lines = [f"<b>{html.escape(data['name'])}{gap}</b>{uses}"]
        lines += map(_small, label_lines(data))
        if "gains" in data:
            lines.append(_small(_gains(data["gains"])))
        return {
            "label": f"<{'<br/>'.join(lines)}>",
            "style": "rounded,filled",
            "fillcolor": OWNER_FILL,
            "color": OWNER_LINE,
        }
    label = f"<{html.escape(data['name'])}>"
    if data["kind"] == "private":
        return {"label": label, "style": "filled", "fillcolor": PRIVATE_FILL, "color": BOX_LINE}
    return {"label": label, "shape": "plaintext"}


def _small(text: str) -> str:
    """A line in small print."""
    return _small_html(html.escape(text))


def _small_html(text: str) -> str:
    """A line in small print of text that is HTML already."""
    return f'<font point-size="9" color="{INK}">{text}</font>'


def _gains(gains: list[float]) -> str:
    """All gains where they are few, else their range."""
    if len(gains) <= GAINS_SHOWN:
        return "gains " + ", ".join(map(_signed, gains))
    return f"gains {_signed(min(gains))} to {_signed(max(gains))}"


def _signed(gain: float) -> str:
    """Two digits, with a minus as long as a plus."""
    return f"{gain:.2f}".replace("-", "−")


def _flow_style(
    graph: nx.MultiDiGraph, source: str, target: str, data: dict[str, Any], passes: dict[str, int]
) -> dict[str, str]:
    """Colour, label and weight of an edge of the flow."""
    looping = bool(data["stage"]) and passes[data["stage"]] > 1
    style = {"color": distinct(data["color"]) if looping else PLAIN}
    style["fontcolor"] = style["color"]
    style["weight"] = "1" if data["back"] else "8"  # the way forward is drawn straight
    if data["dashed"]:
        style["style"] = "dashed"
    lines = [f"<b>{ranges(data['passes'])}</b>"] if looping else []
    if _says_when(graph, source, target, data):
        lines.append(_small(_when(data["order"])))
    if lines:
        style["label"] = f"<{ROOM}{'<br/>'.join(lines)}{END_OF_ROOM}>"
    return style


def _says_when(graph: nx.MultiDiGraph, source: str, target: str, data: dict[str, Any]) -> bool:
    """Whether an edge says which steps take it: more than one, or back, or there and back, where arrows lie on each
    other."""
    return data["kind"] == "flow" and (
        len(data["order"]) > 1 or data["back"] or bool(graph.has_edge(target, source, "flow"))
    )


def _when(order: list[int]) -> str:
    """At which steps, or where there are many, how often."""
    if len(order) > ORDERS_SHOWN:
        return f"×{len(order)}"
    return f"step{'s' if len(order) > 1 else ''} {', '.join(map(str, order))}"


PNG_DPI = "150"  # of .png alone: dot would scale the content of an .svg by it, but not the part that viewers show


def write_graph(graph: nx.MultiDiGraph, path: Path, title: str) -> None:
    """Write the graph of `program_graph` as a picture (.svg, .png, .pdf), dot source (.dot, .gv), .graphml or .json.

    JSON is networkx's node-link form; GraphML holds lists as text. Raises SettingError for another ending,
    MissingTool where a picture is asked for and dot is not installed, OutputError where dot fails or the file
    cannot be written.
    """
    ending = check_ending(path, GRAPH_ENDINGS)
    if ending == ".json":
        write_whole(path, graph_json(graph, title))
    elif ending == ".graphml":
        write_whole(path, graph_graphml(graph, title))
    else:
        write_dot(graph_dot(graph, title), path)


def write_dot(digraph: graphviz.Digraph, path: Path) -> None:
    """Write what Graphviz draws as .svg, .png or .pdf, or its source as .dot or .gv. Raises as `write_graph`."""
    ending = check_ending(path, DOT_ENDINGS)
    write_whole(path, digraph.source if ending in SOURCE else _drawn(digraph, ending[1:], path))


def graph_json(graph: nx.MultiDiGraph, title: str) -> str:
    """The graph in networkx's node-link form, with the title among its attributes."""
    data = nx.node_link_data(graph, edges="edges")
    data["graph"] = {"title": title, **data["graph"]}
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def graph_graphml(graph: nx.MultiDiGraph, title: str) -> str:
    """The graph as GraphML, which knows scalars only: lists are joined by commas, and edges have ids of their own."""
    flat = nx.MultiDiGraph(title=title)
    for node, data in graph.nodes(data=True):
        flat.add_node(node, **{name: _scalar(value) for name, value in data.items()})
    for number, (source, target, data) in enumerate(graph.edges(data=True)):
        flat.add_edge(source, target, f"e{number}", **{name: _scalar(value) for name, value in data.items()})
    return "\n".join(nx.generate_graphml(flat)) + "\n"


def _scalar(value: object) -> object:
    """A list as text."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _drawn(digraph: graphviz.Digraph, picture: str, path: Path) -> bytes:
    """The picture, drawn in memory."""
    if picture == "png":
        digraph = digraph.copy()
        digraph.graph_attr["dpi"] = PNG_DPI
    try:
        drawn: bytes = digraph.pipe(format=picture, quiet=True)
    except graphviz.ExecutableNotFound:
        raise MissingTool(
            f"'{path}' needs Graphviz's program dot, which is not installed; install it (apt install graphviz, "
            "brew install graphviz), or write .dot, or a graph as .graphml or .json, which work without"
        ) from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        reason = said[0] if said else f"exit status {error.returncode}"
        raise OutputError(
            f"dot could not draw '{path}' ({reason}); write a .dot file to see what it was given"
        ) from None
    return drawn
