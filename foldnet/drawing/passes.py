"""In which order a walk takes its edges, and in which of its passes: the colours of the folded network's picture."""

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a walk, with every step that takes it."""

    source: Hashable
    target: Hashable
    order: tuple[int, ...]  # steps, counted from 1
    pass_: int  # the pass that first takes it, counted from 1
    back: bool = False  # whether it jumps back to a node that the walk had entered no later than the source


def walk_passes(nodes: Sequence[Hashable]) -> tuple[Edge, ...]:
    """The edges between each of `nodes` and the next, in order of first use.

    A step is a jump back when its target had first appeared no later than its source: 1, 2, 3, 4, 3, 4, 1, 2,
    3, 4 jumps back twice, by 4 -> 3 and 4 -> 1. A jump belongs to the pass that it ends, and an edge taken
    again keeps its first pass. Where the last node is the one that the walk leaves to, the edge to it has the
    last pass.
    """
    first = {node: index for index, node in reversed(list(enumerate(nodes)))}
    orders: dict[tuple[Hashable, Hashable], list[int]] = {}
    passes: dict[tuple[Hashable, Hashable], int] = {}
    current = 1
    for step, pair in enumerate(itertools.pairwise(nodes), start=1):
        orders.setdefault(pair, []).append(step)
        passes.setdefault(pair, current)
        current += first[pair[1]] <= first[pair[0]]
    return tuple(
        Edge(source, target, tuple(order), passes[source, target], first[target] <= first[source])
        for (source, target), order in orders.items()
    )
