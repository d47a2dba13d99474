"""The folded network as a picture: a row a stage, read from left to right, coloured by pass."""

import html
import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import graphviz
import networkx as nx

from foldnet.drawing.colors import INK, OWNER_BOX, PLAIN, PRIVATE_BOX, RESIDUAL_LINE, STAGE_BOX, distinct
from foldnet.drawing.graph import label_lines, pass_words, ranges
from foldnet.drawing.output import DOT_ENDINGS, GRAPH_ENDINGS, SOURCE, check_ending
from foldnet.errors import MissingTool, OutputError
from foldnet.show.report import spelt_out
from foldnet.store.files import write_whole

FONT = "Helvetica"
GRAPH_STYLE = {"rankdir": "LR", "labelloc": "t", "fontsize": "16", "nodesep": "0.25", "ranksep": "0.4"}
NODE_STYLE = {"fontname": FONT, "fontsize": "12", "shape": "box", "height": "0.4", "margin": "0.12,0.07"}
EDGE_STYLE = {"fontname": FONT, "fontsize": "10", "arrowsize": "0.7", "penwidth": "1.4"}
RESIDUAL_STYLE = {"color": RESIDUAL_LINE, "style": "dotted", "constraint": "false", "arrowsize": "0.5"}
WORD_STYLE = {"shape": "plaintext", "fontsize": "11", "fontcolor": PLAIN, "margin": "0.04"}
GAP = "&#160;&#160;"  # at the end of a text: some viewers drop every space, also such, at a text's beginning
# Around what stands at an arrow: without it arrows that run beside each other touch it.
ROOM = '<table border="0" cellborder="0" cellspacing="0" cellpadding="4"><tr><td>'
END_OF_ROOM = "</td></tr></table>"
ORDERS_SHOWN = 3  # an edge taken more often says how often, not when
GAINS_SHOWN = 4


def graph_dot(graph: nx.MultiDiGraph, title: str, *, bare: bool = False) -> graphviz.Digraph:
    """A picture of the graph that `program_graph` made: each stage a box, owners rounded, private layers with corners.

    In a stage of several passes, edges have the colour of their first pass and say which passes take them. Those taken
    more than once, or back, say at which steps, or how often. Each stage has a row of its own: an edge to another stage
    ends at a word at the row's end, and goes on at the next row's. A `bare` one is read from top to bottom and has
    neither title nor texts of stages, which are wider than what they stand above.
    """
    style = {**GRAPH_STYLE, "fontname": FONT, **({"rankdir": "TB"} if bare else {"label": _title(graph, title)})}
    digraph = graphviz.Digraph(spelt_out(title), graph_attr=style, node_attr=NODE_STYLE, edge_attr=EDGE_STYLE)
    ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    for node, data in graph.nodes(data=True):
        if not data["stage"]:
            digraph.node(ids[node], **_node_style(data))
    for number, (stage, text) in enumerate(graph.graph["stages"].items()):
        with digraph.subgraph(name=f"cluster_{number}") as cluster:
            label = "" if bare else f"<<b>{text_of(stage)}{GAP}</b>{text_of(text)}>"
            cluster.attr(label=label, labeljust="l", fontsize="13", margin="14", **_filled(STAGE_BOX))
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
    looping = {data["stage"] for *_, data in _flow(graph) if data["passes"][-1] > 1}
    for source, target, data in graph.edges(data=True):
        flow = data["kind"] == "flow"
        colored = flow and data["stage"] in looping
        style = _flow_style(data, _when(graph, source, target, data), colored) if flow else RESIDUAL_STYLE
        leaves, enters = graph.nodes[source]["stage"], graph.nodes[target]["stage"]
        if leaves != enters and leaves and enters:
            start = f"from{stages[leaves]}to{stages[enters]}"
            if flow:
                end = f"to{stages[enters]}from{stages[leaves]}"
                digraph.node(end, f"<to {text_of(enters)}>", **WORD_STYLE)
                digraph.node(start, f"<from {text_of(leaves)}>", **WORD_STYLE)
                digraph.edge(ids[source], end, **style)
                starts.append(start)
            digraph.edge(start, ids[target], **({"color": PLAIN, "weight": "8"} if flow else style))
        elif data.get("back") and source != target:
            # Drawn from its target, so that nodes stand in the order in which the flow first meets them.
            digraph.edge(ids[target], ids[source], **style, dir="back")
        else:
            digraph.edge(ids[source], ids[target], **style)
    return list(dict.fromkeys(starts))


def _flow(graph: nx.MultiDiGraph) -> list[tuple[str, str, dict[str, Any]]]:
    """The edges of the flow."""
    return [edge for edge in graph.edges(data=True) if edge[2]["kind"] == "flow"]


def _title(graph: nx.MultiDiGraph, title: str) -> str:
    """The title, below it which colour is which pass, and what stands at the edges."""
    edges, lines = _flow(graph), [f"<b>{text_of(title)}</b>"]
    last = max(data["passes"][-1] for *_, data in edges)
    said = []
    if last > 1:
        words = pass_words({data["pass"] for *_, data in edges}, last)
        colors = (PLAIN if number is None else distinct(number - 1) for _, number in words)
        keys = (f'<font color="{color}">{word}{GAP * 2}</font>' for (word, _), color in zip(words, colors, strict=True))
        lines.append(f'<font point-size="12">{"".join(keys)}</font>')
        said.append("the passes that take it, coloured by the first")
    if any(_when(graph, *edge) for edge in edges):
        said.append("at which steps of the network, or how often (&#215;)")
    if said:
        lines.append(_small(f"at an arrow: {', and '.join(said)}"))
    return html_label(*lines, "&#160;")


def text_of(text: str) -> str:
    """A text in Graphviz's HTML; what no XML holds, and what turns letters around, is spelt out."""
    return html.escape(spelt_out(text).replace("\n", "\\n"))


def html_label(*lines: str) -> str:
    """Lines of HTML as Graphviz reads them."""
    return f"<{'<br/>'.join(lines)}>"


def _filled(box: tuple[str, str], style: str = "rounded,filled") -> dict[str, str]:
    """The colours of a box."""
    return {"style": style, "color": box[1], "fillcolor": box[0]}


def _node_style(data: dict[str, Any]) -> dict[str, str]:
    """Label and shape of a node."""
    name = text_of(data["name"])
    if data["kind"] == "owner":
        gap, uses = (GAP, f"&#215;{data['uses']}") if data["uses"] > 1 else ("", "")
        lines = [f"<b>{name}{gap}</b>{uses}", *(_small(text_of(line)) for line in label_lines(data))]
        if "gains" in data:
            lines.append(_small(_gains(data["gains"])))
        return {"label": html_label(*lines), **_filled(OWNER_BOX)}
    style = _filled(PRIVATE_BOX, "filled") if data["kind"] == "private" else {"shape": "plaintext"}
    return {"label": html_label(name), **style}


def _small(text: str) -> str:
    """A line in small print, of what is HTML already."""
    return f'<font point-size="9" color="{INK}">{text}</font>'


def _gains(gains: list[float]) -> str:
    """All gains where they are few, else their range; a minus is as long as a plus."""
    few = len(gains) <= GAINS_SHOWN
    shown = [f"{gain:.2f}".replace("-", "−") for gain in (gains if few else (min(gains), max(gains)))]
    return f"gains {(', ' if few else ' to ').join(shown)}"


def _flow_style(data: dict[str, Any], when: str, colored: bool) -> dict[str, str]:
    """Colour, label and weight of an edge of the flow; in a stage of several passes it is `colored` and says which."""
    style = {"color": distinct(data["color"]) if colored else PLAIN}
    style["fontcolor"] = style["color"]
    style["weight"] = "1" if data["back"] else "8"  # the way forward is drawn straight
    if data["dashed"]:
        style["style"] = "dashed"
    lines = [f"<b>{ranges(data['passes'])}</b>"] if colored else []
    if when:
        lines.append(_small(when))
    if lines:
        style["label"] = f"<{ROOM}{'<br/>'.join(lines)}{END_OF_ROOM}>"
    return style


def _when(graph: nx.MultiDiGraph, source: str, target: str, data: dict[str, Any]) -> str:
    """At which steps an edge is taken, or where there are many, how often; said of an edge that is taken more than
    once, or back, or there and back, where arrows lie on each other, and "" of others."""
    order = data["order"]
    if len(order) > ORDERS_SHOWN:
        return f"×{len(order)}"
    said = len(order) > 1 or data["back"] or graph.has_edge(target, source, "flow")
    return f"step{'s' * (len(order) > 1)} {', '.join(map(str, order))}" if said else ""


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

    def flat(data: dict[str, Any]) -> dict[str, Any]:
        said = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in data.items()}
        return {name: spelt_out(value) if isinstance(value, str) else value for name, value in said.items()}

    plain = nx.MultiDiGraph(title=spelt_out(title))
    plain.add_nodes_from((spelt_out(node), flat(data)) for node, data in graph.nodes(data=True))
    for number, (source, target, data) in enumerate(graph.edges(data=True)):
        plain.add_edge(spelt_out(source), spelt_out(target), f"e{number}", **flat(data))
    return "\n".join(nx.generate_graphml(plain)) + "\n"


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
        said = (error.stderr or b"").decode(errors="replace").strip().partition("\n")[0]
        reason = said or f"exit status {error.returncode}"
        raise OutputError(
            f"dot could not draw '{path}' ({reason}); write a .dot file to see what it was given"
        ) from None
    return drawn
