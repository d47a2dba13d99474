"""Whether blocks that the network's own forward runs feed each other, so that they may be called a loop, and whether
that may run another number of times.

An nn.Sequential that is called says so itself. Of the blocks of an nn.ModuleList, of one whose blocks are called one by
one, and of numbered attributes, a pass has to show it: each runs once, in order, and what it is given is made of what
the one before gave. A loop can be turned where the
network does the same between any two of them, to the same tensors by their place, and uses later only what it would
use of the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from torch import nn

from foldnet.folding.calling import Inputs
from foldnet.folding.plan import FoldPlan
from foldnet.folding.structures import KeptApart
from foldnet.folding.turning import stuck
from foldnet.folding.watching import (
    BEFORE,
    BETWEEN,
    INPUT,
    INSIDE,
    OUTPUT,
    Done,
    From,
    Source,
    Watched,
    called_one_by_one,
    watched_pass,
)
from foldnet.program.data import Item, Loop, Stage, Step, count_loops, expand
from foldnet.program.loops import name_loops
from foldnet.sharing.sequences import joined, runs_in_order, siblings_of
from foldnet.sharing.share import SharedNetwork

ORDER = "order"  # the attribute of blocks that are kept apart by how they run
UNWATCHED = "the network's own forward runs its blocks, and cannot be watched"


def with_feeds(plan: FoldPlan, tied: SharedNetwork, inputs: tuple[Any, ...]) -> FoldPlan:
    """The plan of a fold with what a pass of the tied network, on copies of both, shows of the blocks that no
    nn.Sequential runs: without the loops of those that do not feed each other, and with what forbids the others to run
    another number of times."""
    loose = _loose(plan.program.stages, tied, inputs)
    judged = [_judged(stage, tied, inputs, stage.name in loose) for stage in plan.program.stages]
    apart = tuple(entry for _, its in judged for entry in its)
    program = replace(plan.program, stages=tuple(stage for stage, _ in judged))
    stages = (
        replace(now, fixed=stuck(now, program, tied, inputs))
        if _turns(now) and (before.fixed or now.name in loose)
        else now
        for before, now in zip(plan.program.stages, program.stages, strict=True)
    )
    program = replace(program, stages=tuple(stages))
    return replace(plan, program=program, kept_apart=plan.kept_apart + apart)


def _turns(stage: Stage) -> bool:
    """Whether a stage has loops that may run another number of times, as far as was seen."""
    return bool(stage.loops) and not stage.fixed


def unfed(network: nn.Module, sequence: str, blocks: tuple[str, ...], inputs: Inputs) -> KeptApart | None:
    """Why blocks of a sequence that no nn.Sequential runs do not feed each other in their order; None where they do, or
    one runs them."""
    ordered = not siblings_of(network, sequence) and runs_in_order(network.get_submodule(sequence))
    if ordered and not called_one_by_one(network, {sequence: blocks}, *inputs):
        return None
    return Span(sequence, blocks, watched_pass(network, blocks, *inputs), 0, len(blocks), 1).unfed()


def _loose(stages: tuple[Stage, ...], tied: SharedNetwork, inputs: tuple[Any, ...]) -> set[str]:
    """The names of those of some stages that are an nn.Sequential whose blocks something else calls: the network's own
    forward, which may do so in any order."""
    ran = [stage for stage in stages if stage.loops and not stage.fixed and not stage.alone]
    blocks = {joined("network", stage.path): [f"network.{block.name}" for block in stage.blocks] for stage in ran}
    try:
        found = called_one_by_one(tied, blocks, inputs) if ran else set()
    except Exception:  # as below
        return set()
    return {stage.name for stage in ran if joined("network", stage.path) in found}


def _judged(stage: Stage, tied: SharedNetwork, inputs: tuple[Any, ...], loose: bool) -> tuple[Stage, list[KeptApart]]:
    """A stage, and what keeps blocks of it apart; a `loose` one is an nn.Sequential that does not run them itself."""
    if not stage.loops or not (stage.fixed or loose):
        return stage, []
    blocks = tuple(block.name for block in stage.blocks)
    try:
        seen = watched_pass(tied, [f"network.{name}" for name in blocks], inputs)
    except Exception as error:  # that of a network which does not take its inputs is told where it is proven
        return stage if stage.siblings else replace(stage, fixed=f"{UNWATCHED} ({type(error).__name__})"), []
    items: list[Item] = []
    apart: list[KeptApart] = []
    fixed, first = "", 0
    for item in stage.items:
        labels = tuple(expand((item,)))
        nested = count_loops((item,)) > 1  # then all of its blocks have to be as one
        span = Span(stage.name, blocks, seen, first, len(labels), 1 if nested else len(labels) // _times(item))
        first += len(labels)
        if isinstance(item, Loop) and (fault := span.unfed()) is not None:
            apart.append(fault)
            items += map(Step, labels)
            continue
        items.append(item)
        fixed = fixed or (span.uneven() if isinstance(item, Loop) else "")
    named = name_loops(items, stage.name)
    return replace(stage, items=named, fixed=stage.fixed if stage.siblings else fixed), apart


def _times(item: Item) -> int:
    """How often a loop runs; a step once."""
    return item.times if isinstance(item, Loop) else 1


@dataclass(frozen=True, slots=True)
class Span:
    """The blocks of one loop of a stage, `count` from `first` on, and a pass in which all of them were watched; every
    `period` they repeat."""

    stage: str
    blocks: tuple[str, ...]
    seen: Watched
    first: int
    count: int
    period: int

    @property
    def begin(self) -> int:
        """The first call of one of them."""
        return next((at for at, block in enumerate(self.seen.order) if self._is_in(block)), 0)

    @property
    def end(self) -> int:
        """The call of the last one."""
        return self.begin + self.count - 1

    def _is_in(self, block: int) -> bool:
        """Whether a block is one of them."""
        return self.first <= block < self.first + self.count

    def _name(self, call: int) -> str:
        """The block that a call was of, quoted."""
        return f"'{self.blocks[self.seen.order[call]]}'"

    def unfed(self) -> KeptApart | None:
        """Why they are no loop: they do not run in their order, or one is not given what the one before gave."""
        blocks, begin = self.blocks, self.begin
        ran = self.seen.order[begin : begin + self.count]
        for place, block in enumerate(range(self.first, self.first + self.count)):
            pair = (blocks[block - 1], blocks[block]) if place else (blocks[block], blocks[block + 1])
            if ran[place : place + 1] != [block]:
                said = "the network's forward does not run them in their order, one behind the other"
                return KeptApart(self.stage, ORDER, pair, said)
            if place and not self._feeds(begin + place - 1):
                return KeptApart(self.stage, ORDER, pair, "the second is not given what the first gives")
        return None

    def _feeds(self, call: int) -> bool:
        """Whether what the next call is given is made of what this one gave."""
        made: set[int] = set()

        def from_it(source: Source) -> bool:
            given = source.kind == OUTPUT or (source.kind == BETWEEN and source.operation in made)
            return source.call == call and given

        for number, done in enumerate(self.seen.after[call]):
            if any(map(from_it, done.sources)):
                made.add(number)
        return any(map(from_it, self.seen.calls[call + 1].sources))

    def uneven(self) -> str:
        """Why the loop runs as often as it was found; empty where it can be turned."""
        calls, begin, end = self.seen.calls, self.begin, self.end
        if sum(map(self._is_in, self.seen.order)) > self.count:
            return "the network's own forward runs its blocks more than once"
        for call in range(begin, end - self.period):
            if self._between(call) != self._between(call + self.period):
                both = f"{self._name(call)} and {self._name(call + self.period)}"
                return f"the network's own forward does not do the same behind {both}"
        for call in range(begin, begin + self.period):
            if not _begins_alike(calls[call], calls[call + self.period]):
                return f"{self._name(call)} and {self._name(call + self.period)} are called with different inputs"
        used = next((source for source in self._later() if not self._may_be_used(source)), None)
        if used is None:
            return ""
        return f"what {self._name(used.call)} is given or gives is used again behind {self._name(end)}"

    def _between(self, call: int) -> tuple[Done, ...]:
        """What is done behind a call, and the next one, all by their place relative to it."""
        return tuple(done.relative_to(call) for done in (*self.seen.after[call], self.seen.calls[call + 1]))

    def _later(self) -> Iterator[Source]:
        """Where the tensors come from that are used behind the last call."""
        for done in (*chain(*self.seen.after[self.end :]), *self.seen.calls[self.end + 1 :]):
            yield from done.sources
        yield from self.seen.given_back

    def _may_be_used(self, source: Source) -> bool:
        """Whether it may be used behind the last call: what was before all, what that call gave or is made of it, what
        every block is given alike, and what is done with its inputs as with those of the blocks before."""
        if source.kind == BEFORE or not self.begin <= source.call <= self.end:
            return True
        if source.kind != INPUT:
            return source.call == self.end and source.kind != INSIDE
        *done, following = self._between(self.end - self.period)
        same = Source(INPUT, 0, source.place)
        alike = self.period == 1 and same in following.sources[source.place : source.place + 1]
        used = any(same in one.sources for one in done)
        return alike or source.call == self.begin or (source.call == self.end and used)


def _begins_alike(one: Done, other: Done) -> bool:
    """Whether the first call is as a later one, but for the tensors that blocks hand on."""
    if one.structure != other.structure or len(one.given) != len(other.given):
        return False
    pairs = zip(one.given, other.given, strict=True)
    return all(a == b or (isinstance(a, From) and isinstance(b, From) and b.source.kind != BEFORE) for a, b in pairs)
