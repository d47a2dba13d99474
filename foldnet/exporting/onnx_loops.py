"""Loops in an ONNX graph: what stands between the marks of a loop's trips becomes the body of one Loop.

The graph comes with every trip written out. Trips are compared node by node. What all of them use alike, such as an
owner, the body uses; constants that differ, such as norms and gains, are stacked and taken by the number of the trip:
trips past the last one found take the last one's. Loops in loops, and loops that share a body, become one Loop over
all their steps where this is possible; else inner loops are joined first, so that an outer one finds Loops in its
trips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np
from onnx import helper

from foldnet.exporting.onnx_body import Trips, loop_of, own_constants, own_places, put, work
from foldnet.exporting.onnx_graph import Graph
from foldnet.exporting.onnx_schedule import join_schedule
from foldnet.exporting.onnx_trips import NoLoop, drop_marks, marks_in, trips_of
from foldnet.exporting.schedules import schedules
from foldnet.program.data import Item, Loop, Stage, Step, count_runs


def roll(
    graph: Graph, stages: Sequence[Stage], first: Mapping[str, int], *, dial: bool = False
) -> tuple[dict[str, int], dict[str, str]]:
    """Join the loops of the stages in place, whose blocks are numbered from `first` on, and drop all marks.

    With `dial` the trips of those that can be turned are in the graph's `dials`; loops that became one Loop are
    `together`. Gives the loops that were joined with their trips, and why the others were not.
    """
    joined: dict[str, int] = {}
    refused: dict[str, str] = {}
    marks = marks_in(graph)
    for stage in stages:
        turned, begin = dial and not stage.fixed, first.get(stage.name, 0)
        for schedule in schedules(stage, begin):
            with suppress(NoLoop):  # then each for itself
                join_schedule(graph, marks, schedule, turned)
                joined |= {loop.name: loop.times for loop in schedule.loops}
        written: dict[str, tuple[Loop, list[list[int]]]] = {}
        for loop, bounds in _written(stage.items, begin):
            if loop.name not in joined:
                written.setdefault(loop.name, (loop, []))[1].append(bounds)
        for loop, places in written.values():
            try:
                found = [trips_of(graph, marks, bounds) for bounds in places]
                _join(graph, loop, found, turned)
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
            bounds.append(bounds[-1] + count_runs(item.body, {}))
        yield item, bounds
        block = bounds[-1]


def _join(graph: Graph, loop: Loop, found: Sequence[Trips], dial: bool) -> None:
    """Put one Loop in the place of the trips, wherever the loop is written. Raises NoLoop, with nothing done."""
    places = own_places(found)
    own = [own_constants(graph, trips, places) for trips in found]
    if dial:
        graph.dials[loop.name] = loop.times
    name = loop.name
    for trips, values in zip(found, own, strict=True):
        row, nodes = f"{name}/trip", []
        if dial and values:
            row, last = f"{name}/row", graph.constant(f"{name}/last", np.array(len(trips) - 1, np.int64))
            nodes.append(helper.make_node("Min", [f"{name}/trip", last], [row]))
        made, result = work(graph, name, trips[0], places, values, f"{name}/state", row)
        count = name if dial else graph.constant(f"{name}/trips", np.array(len(trips), np.int64))
        put(graph, trips, [loop_of(graph, name, count, trips, [*nodes, *made], f"{name}/state", result)])
