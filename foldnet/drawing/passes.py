"""In which order a walk takes its edges, and in which of its passes: the colours of the folded network's picture."""

import itertools
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a walk, with every step that takes it and every pass that has such a step, both counted from 1."""

    source: Hashable
    target: Hashable
    order: tuple[int, ...]
    passes: tuple[int, ...]
    back: bool = False  # whether it jumps back to a node that the walk had entered no later than the source


def walk_passes(nodes: Sequence[Hashable]) -> tuple[Edge, ...]:
    """The edges between each of `nodes` and the next, in order of first use.

    A step is a jump back when its target had first appeared no later than its source: 1, 2, 3, 4, 3, 4, 1, 2,
    3, 4 jumps back twice, by 4 -> 3 and 4 -> 1. A jump belongs to the pass that it ends. Where the last node is
    the one that the walk leaves to, the edge to it has the last pass.
    """
    first = {node: index for index, node in reversed(list(enumerate(nodes)))}
    orders: dict[tuple[Hashable, Hashable], list[int]] = {}
    passes: dict[tuple[Hashable, Hashable], dict[int, None]] = {}
    current = 1
    for step, pair in enumerate(itertools.pairwise(nodes), start=1):
        orders.setdefault(pair, []).append(step)
        passes.setdefault(pair, {})[current] = None
        current += first[pair[1]] <= first[pair[0]]
    return tuple(
        Edge(source, target, tuple(order), tuple(passes[source, target]), first[target] <= first[source])
        for (source, target), order in orders.items()
    )


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in rising order, in few words: 1, 2, 3, 5 -> "1–3, 5"."""
    parts = []
    for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts.append(", ".join(map(str, run)) if len(run) < 3 else f"{run[0]}–{run[-1]}")
    return ", ".join(parts)


def pass_words(drawn: Collection[int], last: int) -> tuple[tuple[str, int | None], ...]:
    """What a legend says of the passes 1 to `last`: each of those `drawn` in its colour, by its number, and where the
    others are.

    An edge keeps the colour of its first pass, so a pass may have no edge of its own: the second to fifth trip through
    a loop of one weight all take the edge that the first has drawn.
    """
    words: list[tuple[str, int | None]] = []
    for own, group in itertools.groupby(range(1, last + 1), key=lambda number: number in drawn):
        numbers = list(group)
        if own:
            words += [(f"pass {number}", number) for number in numbers]
        else:
            said = f"pass {numbers[0]}: arrows" if len(numbers) == 1 else f"passes {ranges(numbers)}: arrows"
            words.append((f"{said} of earlier passes", None))
    return tuple(words)
