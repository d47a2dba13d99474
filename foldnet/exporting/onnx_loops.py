"""Loops in an ONNX graph: what stands between the marks of a loop's trips becomes the body of one Loop.

The graph comes with every trip written out. Trips are compared node by node. What all of them use alike, such as an
owner, the body uses; constants that differ, such as norms and gains, are stacked and taken by the number of the trip:
trips past the last one found take the last one's. Inner loops are joined first, so that an outer one finds Loops in its
trips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from foldnet.exporting.onnx_graph import Graph, Node, rewired
from foldnet.exporting.onnx_trips import NoLoop, Trip, drop_marks, is_mark, marks_in, trips_of
from foldnet.program.data import Item, Loop, Stage, Step

Trips = tuple[Trip, ...]
Places = Mapping[tuple[int, int], int]  # (node of a trip, place in it) -> number of the trips' own constant used there


def roll(
    graph: Graph, stages: Sequence[Stage], first: Mapping[str, int], *, dial: bool = False
) -> tuple[dict[str, int], dict[str, str]]:
    """Join the loops of the stages in place, whose blocks are numbered from `first` on, and drop all marks.

    With `dial` the trips of those that can be turned are in the graph's `dials`. Gives the loops that were joined with
    their trips, and why the others were not.
    """
    joined: dict[str, int] = {}
    refused: dict[str, str] = {}
    marks = marks_in(graph)
    for stage in stages:
        written: dict[str, tuple[Loop, list[list[int]]]] = {}
        for loop, bounds in _written(stage.items, first.get(stage.name, 0)):
            written.setdefault(loop.name, (loop, []))[1].append(bounds)
        for loop, places in written.values():
            try:
                found = [trips_of(graph, marks, bounds) for bounds in places]
                _join(graph, loop, found, dial and not stage.fixed)
            except NoLoop as reason:
                refused[loop.name] = str(reason)
            else:
                joined[loop.name] = loop.times
    drop_marks(graph)
    order = [loop.name for stage in stages for loop in stage.loops]
    graph.dials = {name: graph.dials[name] for name in order if name in graph.dials}
    return {name: joined[name] for name in order if name in joined}, refused


def _written(items: Sequence[Item], block: int) -> Iterator[tuple[Loop, list[int]]]:
    """Each loop as often as it is written out, inner ones first, with the blocks at which its trips begin, and the one
    behind them."""
    for item in items:
        if isinstance(item, Step):
            block += 1
            continue
        bounds = [block]
        for _ in range(item.times):
            yield from _written(item.body, bounds[-1])
            bounds.append(bounds[-1] + _blocks(item.body))
        yield item, bounds
        block = bounds[-1]


def _blocks(items: Sequence[Item]) -> int:
    """How many blocks some items are, written out."""
    return sum(1 if isinstance(item, Step) else item.times * _blocks(item.body) for item in items)


def _join(graph: Graph, loop: Loop, found: Sequence[Trips], dial: bool) -> None:
    """Put one Loop in the place of the trips, wherever the loop is written. Raises NoLoop, with nothing done."""
    places = _own_places(found)
    bodies = [_constants(graph, trips, places) for trips in found]
    if dial:
        graph.dials[loop.name] = loop.times
    for trips, own in zip(found, bodies, strict=True):
        stacks = [graph.new_constant(f"{loop.name}/steps{n}", np.stack(values)) for n, values in enumerate(own)]
        node = _loop(graph, loop, trips, places, stacks, dial)
        inside = {id(one) for trip in trips for one in trip.nodes}
        at = next(number for number, one in enumerate(graph.nodes) if trips[-1].end in one.output)
        parts = (graph.nodes[:at], graph.nodes[at:])
        before, behind = ([one for one in part if id(one) not in inside] for part in parts)
        begins = {trip.begin for trip in trips[1:]}
        gone = begins | {one.input[0] for one in before if begins.intersection(one.output)}
        graph.nodes = [*(one for one in before if gone.isdisjoint(one.output)), node, *behind]


def _own_places(found: Sequence[Trips]) -> Places:
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


def _constants(graph: Graph, trips: Trips, places: Places) -> list[list[np.ndarray]]:
    """What is to be stacked, by number. Raises NoLoop where it is no constant of one shape."""
    found: dict[int, list[np.ndarray]] = {}
    for (number, place), own in places.items():
        names = [trip.uses[number][place][1] for trip in trips]
        values = [graph.constants[name] for name in names if name in graph.constants]
        if len(values) < len(names) or len({(value.shape, value.dtype.str) for value in values}) > 1:
            raise NoLoop("its trips use tensors that are made elsewhere, each another one")
        found[own] = values
    return [found[own] for own in sorted(found)]


def _loop(graph: Graph, loop: Loop, trips: Trips, places: Places, stacks: Sequence[str], dial: bool) -> Node:
    """The Loop of these trips."""
    name, first = loop.name, trips[0]
    trip, again, state = f"{name}/trip", f"{name}/again", f"{name}/state"
    row, nodes = trip, []
    if dial and stacks:
        row, last = f"{name}/row", graph.constant(f"{name}/last", np.array(len(trips) - 1, np.int64))
        nodes.append(helper.make_node("Min", [trip, last], [row]))
    nodes += [helper.make_node("Gather", [one, row], [f"{name}/own{n}"], axis=0) for n, one in enumerate(stacks)]
    names = {first.begin: state}
    for number, (node, uses) in enumerate(zip(first.nodes, first.uses, strict=True)):
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
    result = names[first.end]
    handed_on = [again, state] if result == state else [again]
    nodes += [helper.make_node("Identity", [one], [f"{one}/next"]) for one in handed_on]
    result = f"{state}/next" if result == state else result
    counted = helper.make_tensor_value_info(trip, TensorProto.INT64, [])
    flags = [helper.make_tensor_value_info(one, TensorProto.BOOL, []) for one in (again, f"{again}/next")]
    inputs, outputs = [counted, flags[0], _like(graph, trips, state)], [flags[1], _like(graph, trips, result)]
    body = helper.make_graph(nodes, name, inputs, outputs)
    count = name if dial else graph.constant(f"{name}/trips", np.array(len(trips), np.int64))
    return helper.make_node("Loop", [count, "", first.begin], [trips[-1].end], name, body=body)


def _like(graph: Graph, trips: Trips, name: str) -> ValueInfoProto:
    """Another value of the type of the state, of which something is known."""
    known = next(one for trip in trips for one in (trip.begin, trip.end) if one in graph.types)
    info = ValueInfoProto()
    info.CopyFrom(graph.types[known])
    info.name = name
    return info
