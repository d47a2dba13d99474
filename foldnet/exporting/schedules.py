"""Which loops of a stage become one that chooses a body for each step: loops in loops, and loops that share a body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from foldnet.program.data import Item, Loop, Stage, count_runs, expand, loops_in

# Steps that run once, to one that runs again: in onnxruntime 1.32 a step of convolutions takes 1.1 times its time
# written out in such a loop, and 1.6 times in one that does not hold its weights.
MOST_ONCE = 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """Items of a stage that become one loop, and the number of their first block."""

    items: tuple[Item, ...]
    block: int

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The loops in it."""
        return tuple(loops_in(self.items))

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its loops."""
        return tuple(loop.name for loop in self.loops)


def schedules(stage: Stage, block: int = 0) -> Iterator[Schedule]:
    """What becomes one loop: a loop in which there are loops, and all from the first to the last use of a label that is
    used in a loop and outside of it too. `block` is the number of the stage's first block."""
    labels = [set(expand((item,))) for item in stage.items]
    looped = {label for item in stage.items if isinstance(item, Loop) for label in expand((item,))}
    number = 0
    while number < len(labels):
        last, at = number, number
        while at <= last:  # further where a label of this item is used again
            again = (other for other, known in enumerate(labels) if known & labels[at] & looped)
            last, at = max([last, *again]), at + 1
        items = stage.items[number : last + 1]
        within = tuple(loops_in(items))
        runs = Counter(expand(items))
        once = sum(count == 1 for count in runs.values())
        if (len(within) > 1 or (within and len(items) > 1)) and once <= MOST_ONCE * (runs.total() - once):
            yield Schedule(items, block + count_runs(stage.items[:number], {}))
        number = last + 1
