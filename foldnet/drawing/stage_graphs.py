"""The graphs of a fold's stages, one each, and which colours their owners and passes have."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import networkx as nx

from foldnet.drawing.colors import ALONE_BOX, OWNER_COLORS, PLAIN, PRIVATE_BOX, distinct
from foldnet.drawing.graph import program_graph
from foldnet.program.data import Program, Stage


def stage_graphs(stages: Sequence[Stage]) -> list[nx.MultiDiGraph]:
    """Each stage between an input and an output; nodes carry `style` (fill and line of their box), edges `shade`, the
    colour of their pass, which is plain where there is only one."""
    graphs = [program_graph(Program((), (stage,), ())) for stage in stages]
    colors = owner_colors(graphs)
    for graph in graphs:
        for node, data in graph.nodes(data=True):
            alone = ALONE_BOX if data["kind"] == "owner" else PRIVATE_BOX
            data["style"] = OWNER_COLORS[colors[node] % len(OWNER_COLORS)] if node in colors else alone
        for *_, data in graph.edges(data=True):
            data["shade"] = distinct(data["color"]) if several_passes(graph) else PLAIN
    return graphs


def owner_colors(graphs: Sequence[nx.MultiDiGraph]) -> dict[str, int]:
    """A number of a colour for each owner that several layers use, from 0 in each stage.

    An owner of several stages keeps its colour.
    """
    owners = [[node for node, kind in graph.nodes(data="kind") if kind == "owner"] for graph in graphs]
    uses: Counter[str] = Counter()
    for graph, names in zip(graphs, owners, strict=True):
        uses.update({name: graph.nodes[name]["uses"] for name in names})
    together = nx.Graph()
    for names in owners:
        shared = [name for name in names if uses[name] > 1]
        together.add_nodes_from(shared)
        together.add_edges_from(combinations(shared, 2))
    # Each one in the order of first use gets the first colour that no owner of its stages has.
    colors: dict[str, int] = nx.greedy_color(together, lambda *_: together)
    return colors


def layer_nodes(graph: nx.MultiDiGraph) -> dict[str, str]:
    """The node of each layer of the flow."""
    return {layer: node for node, layers in graph.nodes(data="layers") for layer in layers}


def several_passes(graph: nx.MultiDiGraph) -> bool:
    """Whether the flow jumps back, so that arrows have colours and numbers."""
    return any(data["passes"][-1] > 1 for *_, data in graph.edges(data=True))
