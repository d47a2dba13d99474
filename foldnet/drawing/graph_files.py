"""Graphs and pictures as files, each in the format that the file's ending names."""

import json
import subprocess
from pathlib import Path

import graphviz
import networkx as nx

from foldnet.drawing.dot import graph_dot
from foldnet.drawing.endings import GRAPH_ENDINGS, SOURCE, check_dot_ending
from foldnet.errors import MissingTool, OutputError
from foldnet.store.files import write_whole

PNG_DPI = "150"  # of .png alone: dot would scale the content of an .svg by it, but not the part that viewers show


def write_graph(graph: nx.MultiDiGraph, path: Path, title: str) -> None:
    """Write the graph of `program_graph` as a picture (.svg, .png, .pdf), dot source (.dot, .gv), .graphml or .json.

    JSON is networkx's node-link form; GraphML holds lists as text. Raises SettingError for another ending,
    MissingTool where a picture is asked for and dot is not installed, OutputError where dot fails or the file
    cannot be written.
    """
    ending = check_dot_ending(path, GRAPH_ENDINGS)
    if ending == ".json":
        write_whole(path, graph_json(graph, title))
    elif ending == ".graphml":
        write_whole(path, graph_graphml(graph, title))
    else:
        write_dot(graph_dot(graph, title), path)


def write_dot(digraph: graphviz.Digraph, path: Path) -> None:
    """Write what Graphviz draws as .svg, .png or .pdf, or its source as .dot or .gv. Raises as `write_graph`."""
    ending = check_dot_ending(path)
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
