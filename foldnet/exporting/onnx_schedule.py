"""One Loop in an ONNX graph for all steps of a schedule, of which each chooses its body by an If.

A body then holds its weights, however many loops use it. Weights that stand outside of it would be no constants to
onnxruntime, which lays them out for convolutions only where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ValueInfoProto, helper

from foldnet.exporting.onnx_body import like, loop_of, own_constants, own_places, put, work
from foldnet.exporting.onnx_graph import Graph, Node
from foldnet.exporting.onnx_trips import NoLoop, Trip, check_alike, trips_between
from foldnet.exporting.schedules import Schedule
from foldnet.program.data import Item, Step, count_runs, expand


def join_schedule(graph: Graph, marks: Mapping[int, Node], schedule: Schedule, dial: bool) -> None:
    """Put one Loop in the place of a schedule. Raises NoLoop, with nothing done."""
    labels = tuple(expand(schedule.items))
    trips = trips_between(graph, marks, range(schedule.block, schedule.block + len(labels) + 1))
    by_label = {label: tuple(t for t, one in zip(trips, labels, strict=True) if one == label) for label in labels}
    for some in by_label.values():
        check_alike(some)
    _check_states(graph, trips)
    places = {label: own_places([some]) for label, some in by_label.items()}
    own = {label: own_constants(graph, some, places[label]) for label, some in by_label.items()}

    graph.together.append(schedule.names)
    name = "+".join(schedule.names)
    step, count = f"{name}/trip", graph.constant(f"{name}/trips", np.array(len(trips), np.int64))
    before: list[Node] = []
    nodes: list[Node] = []
    if dial:
        graph.dials |= {loop.name: loop.times for loop in schedule.loops}
        order, count, before = _Order(graph, name).of(schedule.items)
        step = f"{name}/step"
        nodes.append(helper.make_node("Gather", [order, f"{name}/trip"], [step], axis=0))
    numbers = {"row": [labels[:n].count(one) for n, one in enumerate(labels)]}
    numbers["body"] = [[*by_label].index(one) for one in labels]
    for kind, values in numbers.items():  # of each step: which of its body's own constants, and which body
        known = graph.new_constant(f"{name}/{kind}/steps", np.array(values, np.int64))
        nodes.append(helper.make_node("Gather", [known, step], [f"{name}/{kind}"], axis=0))
    state, bodies = f"{name}/state", []
    for label, some in by_label.items():
        made, gives = work(graph, f"{name}/{label}", some[0], places[label], own[label], state, f"{name}/row")
        bodies.append(helper.make_graph(made, f"{name}/{label}", [], [like(graph, trips, gives)]))
    nodes += _choice(graph, name, bodies, like(graph, trips, f"{name}/next"))
    put(graph, trips, [*before, loop_of(graph, name, count, trips, nodes, state, f"{name}/next")])


def _check_states(graph: Graph, trips: Sequence[Trip]) -> None:
    """Raise NoLoop where what is handed on is not of one shape, as far as that is known."""
    known = [graph.types[one] for trip in trips for one in (trip.begin, trip.end) if one in graph.types]
    if len({one.type.SerializeToString(deterministic=True) for one in known}) > 1:
        raise NoLoop("its steps give tensors of other shapes")


def _choice(
    graph: Graph, name: str, bodies: Sequence[GraphProto], result: ValueInfoProto, number: int = 0
) -> list[Node]:
    """What runs the body of this number where it is wanted, else one of those behind it."""
    if number == len(bodies) - 1:
        last = bodies[number]
        return [*last.node, helper.make_node("Identity", [last.output[0].name], [result.name])]
    this = graph.constant(f"{name}/body{number}", np.array(number, np.int64))
    rest = bodies[-1]
    if number < len(bodies) - 2:
        other = ValueInfoProto()
        other.CopyFrom(result)
        other.name = f"{result.name}/{number + 1}"
        rest = helper.make_graph(_choice(graph, name, bodies, other, number + 1), f"{name}/{number + 1}", [], [other])
    wanted = helper.make_node("Equal", [f"{name}/body", this], [f"{name}/is{number}"])
    parts = {"then_branch": bodies[number], "else_branch": rest}
    return [wanted, helper.make_node("If", [f"{name}/is{number}"], [result.name], **parts)]


class _Order:
    """The numbers of steps in the order in which they run, for any number of trips."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, f"{name}/order"
        self.nodes: list[Node] = []

    def of(self, items: Sequence[Item]) -> tuple[str, str, list[Node]]:
        """The order, how long it is, and the nodes that make both."""
        order = self._part(items, np.array(0, np.int64), [])
        count = self._made("Squeeze", self._made("Shape", order))
        return order, count, self.nodes

    def _part(self, items: Sequence[Item], first: NDArray[np.int64], trips: Sequence[str]) -> str:
        """The steps of some items, in the last axis; those before it are the `trips` of the loops around them. `first`
        are the numbers of their first steps, by the trips found."""
        parts = []
        for item in items:
            if isinstance(item, Step):
                step = self._constant(first)
                for axis, trip in enumerate(trips):
                    step = self._made("Gather", step, trip, axis=axis)
                parts.append(self._made("Unsqueeze", step, self._constant(np.array([-1]))))
            else:
                within = count_runs(item.body, {})
                inside = first[..., None] + within * np.arange(item.times)
                bounds = (self._constant(np.array(one)) for one in (0, 1, item.times - 1))
                none, one, last = bounds
                trip = self._made("Min", self._made("Range", none, item.name, one), last)
                parts.append(self._joined(self._part(item.body, inside, [*trips, trip]), len(trips)))
            first = first + count_runs((item,), {})
        return self._made("Concat", *parts, axis=-1)

    def _joined(self, part: str, axis: int) -> str:
        """A part whose last two axes, from `axis` on, become one; -1 would not do where there are no trips."""
        sizes = [self._made("Shape", part, start=n, end=n + 1) for n in range(axis + 2)]
        shape = self._made("Concat", *sizes[:axis], self._made("Mul", *sizes[axis:]), axis=0)
        return self._made("Reshape", part, shape, allowzero=1)

    def _constant(self, value: NDArray[np.int64]) -> str:
        """The name of a constant."""
        return self.graph.constant(self.name, value.astype(np.int64))

    def _made(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """What a new node makes."""
        out = f"{self.name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out
