"""The body of a loop in an ONNX graph, out of trips that are written alike: what differs between them is stacked, and
taken by the number of the trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from foldnet.exporting.onnx_graph import Graph, Node, rewired
from foldnet.exporting.onnx_norms import norms_inside
from foldnet.exporting.onnx_trips import NoLoop, Trip, is_mark

Trips = tuple[Trip, ...]
Places = Mapping[tuple[int, int], int]  # (node of a trip, place in it) -> number of the trips' own constant used there


def own_places(found: Sequence[Trips]) -> Places:
    """Where trips use constants of their own, numbered: what is the same wherever the loop is written has one
    number."""
    numbers: dict[tuple[str, ...], int] = {}
    places = {}
    for number, uses in enumerate(found[0][0].uses):
        for place, (kind, _) in enumerate(uses):
            used = [tuple(trip.uses[number][place][1] for trip in trips) for trips in found]
            if kind == "outer" and any(len(set(names)) > 1 for names in used):
                key = tuple(name for names in used for name in names)
                places[number, place] = numbers.setdefault(key, len(numbers))
    return places


def own_constants(graph: Graph, trips: Trips, places: Places) -> list[list[np.ndarray]]:
    """What is to be stacked, by number. Raises NoLoop where it is no constant of one shape."""
    found: dict[int, list[np.ndarray]] = {}
    for (number, place), own in places.items():
        names = [trip.uses[number][place][1] for trip in trips]
        values = [graph.constants[name] for name in names if name in graph.constants]
        if len(values) < len(names) or len({(value.shape, value.dtype.str) for value in values}) > 1:
            raise NoLoop("its trips use tensors that are made elsewhere, each another one")
        found[own] = values
    return [found[own] for own in sorted(found)]


def work(
    graph: Graph, name: str, trip: Trip, places: Places, own: Sequence[list[np.ndarray]], state: str, row: str
) -> tuple[list[Node], str]:
    """What trips like this one make of a state, and the name of that; `name` begins all names, `row` is the number of
    the trip."""
    stacks = [graph.new_constant(f"{name}/steps{n}", np.stack(values)) for n, values in enumerate(own)]
    nodes = [helper.make_node("Gather", [one, row], [f"{name}/own{n}"], axis=0) for n, one in enumerate(stacks)]
    names = {trip.begin: state}
    for number, (node, uses) in enumerate(zip(trip.nodes, trip.uses, strict=True)):
        used = [
            f"{name}/own{places[number, place]}" if (number, place) in places else names.get(value, value)
            for place, (_, value) in enumerate(uses)
        ]
        if is_mark(node):
            names[node.output[0]] = used[0]
            continue
        names.update((out, f"{name}/{number}.{n}") for n, out in enumerate(node.output) if out)
        nodes.append(rewired(node, used, [names.get(out, "") for out in node.output]))
        nodes[-1].name = f"{name}/{number}"
    types = {names[old]: info for old, info in graph.types.items() if old in names}
    result = names[trip.end]
    if result == state:
        result = f"{state}/next"
        nodes.append(helper.make_node("Identity", [state], [result]))
    return norms_inside(graph, nodes, types), result


def loop_of(graph: Graph, name: str, count: str, trips: Trips, nodes: Sequence[Node], state: str, result: str) -> Node:
    """A Loop of this name that runs `count` times, whose body makes `result` of `state`, in the place of trips; the
    number of a trip is "NAME/trip"."""
    trip, again = f"{name}/trip", f"{name}/again"
    on = helper.make_node("Identity", [again], [f"{again}/next"])
    counted = helper.make_tensor_value_info(trip, TensorProto.INT64, [])
    flags = [helper.make_tensor_value_info(one, TensorProto.BOOL, []) for one in (again, f"{again}/next")]
    inputs, outputs = [counted, flags[0], like(graph, trips, state)], [flags[1], like(graph, trips, result)]
    body = helper.make_graph([*nodes, on], name, inputs, outputs)
    return helper.make_node("Loop", [count, "", trips[0].begin], [trips[-1].end], name, body=body)


def put(graph: Graph, trips: Trips, nodes: Sequence[Node]) -> None:
    """Put nodes, the last of them a loop, in the place of the trips that it runs."""
    inside = {id(one) for trip in trips for one in trip.nodes}
    at = next(number for number, one in enumerate(graph.nodes) if trips[-1].end in one.output)
    parts = (graph.nodes[:at], graph.nodes[at:])
    before, behind = ([one for one in part if id(one) not in inside] for part in parts)
    begins = {trip.begin for trip in trips[1:]}
    gone = begins | {one.input[0] for one in before if begins.intersection(one.output)}
    graph.nodes = [*(one for one in before if gone.isdisjoint(one.output)), *nodes, *behind]


def like(graph: Graph, trips: Trips, name: str) -> ValueInfoProto:
    """Another value of the type of the state, of which something is known."""
    known = next(one for trip in trips for one in (trip.begin, trip.end) if one in graph.types)
    info = ValueInfoProto()
    info.CopyFrom(graph.types[known])
    info.name = name
    return info
