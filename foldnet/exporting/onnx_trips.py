"""The trips of a loop in an ONNX graph in which all are written out: what lies between their marks, and whether it is
one body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import helper

from foldnet.exporting.onnx_graph import Graph, Node, attributes_of, renamed, used_by
from foldnet.exporting.unrolled import DOMAIN, MARK


class NoLoop(Exception):
    """Why trips cannot be joined."""


@dataclass(frozen=True)
class Trip:
    """One trip: the value that it begins with, the value that it ends with, the nodes between in their order, and for
    each of these what it uses, place by place: ("state" or "made" or "outer", name)."""

    begin: str
    end: str
    nodes: tuple[Node, ...]
    uses: tuple[tuple[tuple[str, str], ...], ...]


def is_mark(node: Node) -> bool:
    """Whether a node is a mark."""
    return node.op_type == MARK and node.domain == DOMAIN


def marks_in(graph: Graph) -> dict[int, Node]:
    """The marks by their numbers; without those that are met more than once."""
    found: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if is_mark(node):
            found.setdefault(node.attribute[0].i, []).append(node)
    return {number: nodes[0] for number, nodes in found.items() if len(nodes) == 1}


def drop_marks(graph: Graph) -> None:
    """Take the marks out."""
    stands: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        if is_mark(node):
            stands[node.output[0]] = stands.get(node.input[0], node.input[0])
        else:
            kept.append(renamed(node, stands))
    for output in graph.outputs:
        if output.name in stands:
            kept.append(helper.make_node("Identity", [stands[output.name]], [output.name]))
    graph.nodes = kept


def trips_of(graph: Graph, marks: Mapping[int, Node], bounds: Sequence[int]) -> tuple[Trip, ...]:
    """The trips whose blocks begin at `bounds`, from behind their first mark to before their last. Raises NoLoop where
    they are not one body."""
    trips = trips_between(graph, marks, bounds)
    check_alike(trips)
    return trips


def trips_between(graph: Graph, marks: Mapping[int, Node], bounds: Sequence[int]) -> tuple[Trip, ...]:
    """The same of trips that need not be alike. Raises NoLoop where they do not follow one another."""
    try:
        begins = [marks[2 * block] for block in bounds[:-1]]
        ends = [marks[2 * block - 1] for block in bounds[1:]]
    except KeyError:
        raise NoLoop("its blocks do not run once each, from one tensor to another") from None
    if [one.input[0] for one in begins[1:]] != [one.output[0] for one in ends[:-1]]:
        raise NoLoop("the network's own forward does something between its trips")
    pairs = zip(begins, ends, strict=True)
    trips = tuple(_trip(graph, begin.output[0], end.input[0]) for begin, end in pairs)
    _check_alone(graph, trips, [one.output[0] for one in ends[:-1]])
    return trips


def _trip(graph: Graph, begin: str, end: str) -> Trip:
    """What lies between two values: all that the second needs and that depends on the first, and what only that
    needs. Raises NoLoop."""
    depends, needed = {begin}, {end}
    for node in graph.nodes:
        if not depends.isdisjoint(used_by(node)):
            depends.update(node.output)
    if end not in depends:
        raise NoLoop("a trip does not depend on the one before")
    inside: set[int] = set()
    for node in reversed(graph.nodes):
        if begin not in node.output and not needed.isdisjoint(node.output):
            needed.update(used_by(node))
            if not depends.isdisjoint(node.output):
                inside.add(id(node))
    consumers, results = graph.consumers(), graph.results()
    for node in reversed(graph.nodes):  # what does not depend on the state, and nothing else uses
        its = [one for name in node.output for one in consumers.get(name, ())]
        free = results.isdisjoint(node.output) and begin not in node.output
        if its and free and all(id(one) in inside for one in its):
            inside.add(id(node))
    nodes = tuple(node for node in graph.nodes if id(node) in inside)
    made = {name for node in nodes for name in node.output}

    def source(name: str) -> tuple[str, str]:
        return ("state" if name == begin else "made" if name in made else "outer"), name

    return Trip(begin, end, nodes, tuple(tuple(map(source, used_by(node))) for node in nodes))


def check_alike(trips: Sequence[Trip]) -> None:
    """Raise NoLoop where a trip does something else than the first."""

    def wired(trip: Trip) -> list[list[tuple[str, int]]]:
        numbers = {name: n for n, name in enumerate(name for node in trip.nodes for name in node.output)}
        return [[(kind, numbers.get(name, 0) if kind == "made" else 0) for kind, name in uses] for uses in trip.uses]

    def ends(trip: Trip) -> list[bool]:
        return [name == trip.end for node in trip.nodes for name in node.output]

    for said, how in (("written", lambda trip: [*map(_kind, trip.nodes)]), ("wired", wired), ("ended", ends)):
        if any(how(trip) != how(trips[0]) for trip in trips[1:]):
            raise NoLoop(f"its trips are not {said} alike")


def _kind(node: Node) -> tuple[object, ...]:
    """What must be the same of two nodes besides what they use."""
    attributes = () if is_mark(node) else attributes_of(node)
    return node.domain, node.op_type, len(node.output), tuple(map(bool, node.input)), attributes


def _check_alone(graph: Graph, trips: Sequence[Trip], between: Sequence[str]) -> None:
    """Raise NoLoop where something else than the next trip uses what a trip makes, or what is `between` them."""
    inside = {id(node): number for number, trip in enumerate(trips) for node in trip.nodes}
    consumers, results = graph.consumers(), graph.results()
    if any(len(consumers[name]) > 1 or name in results for name in between):
        raise NoLoop("what a trip gives is used again behind the next")
    for number, trip in enumerate(trips):
        for name in (name for node in trip.nodes for name in node.output if name != trip.end):
            if name in results or any(inside.get(id(node)) != number for node in consumers.get(name, ())):
                raise NoLoop("what is inside a trip is used again behind it")
        others = [node for node in consumers.get(trip.end, ()) if inside.get(id(node)) != number]
        if number < len(trips) - 1 and (trip.end in results or not all(map(is_mark, others))):
            raise NoLoop("what a trip gives is used again behind the next")
