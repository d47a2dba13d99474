"""The graph of a folded network, for programs that read graphs."""

from dataclasses import dataclass

from foldnet.verbs.pictures.networks import Graph


@dataclass(frozen=True, slots=True)
class Dot(Graph):
    """The graph of the folded network, in Graphviz's language."""

    name, endings = "graph.dot", (".dot", ".gv")


@dataclass(frozen=True, slots=True)
class Graphml(Graph):
    """The graph in GraphML; lists are text."""

    name, endings = "graph.graphml", (".graphml",)


@dataclass(frozen=True, slots=True)
class Json(Graph):
    """The graph in networkx's node-link form."""

    name, endings = "graph.json", (".json",)
