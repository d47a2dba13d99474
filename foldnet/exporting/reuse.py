"""Whether what a file reuses is reused by its loops."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from foldnet.exporting.schedules import schedules
from foldnet.program.data import Item, Program, Step, expand


def reused_in_loops(program: Program, loops: Collection[str], together: Collection[Sequence[str]] = ()) -> bool:
    """Whether each owner is written once where these loops are loops, and those `together` one: all that use it again
    do so in one of them."""
    seen = set()
    ones = {tuple(names) for names in together}
    for stage in program.stages:
        uses = {block.label: block.uses for block in stage.blocks}
        items: list[Item] = [*stage.items]
        for one in schedules(stage):
            if one.names in ones:  # each body once
                at = items.index(one.items[0])
                items[at : at + len(one.items)] = [Step(label) for label in dict.fromkeys(expand(one.items))]
        for label in _written(items, loops):
            for owner in ((use.group, use.owner) for use in uses[label] if use.group is not None):
                if owner in seen:
                    return False
                seen.add(owner)
    return True


def _written(items: Sequence[Item], loops: Collection[str]) -> Iterator[str]:
    """The labels as often as a file writes them."""
    for item in items:
        if isinstance(item, Step):
            yield item.label
        else:
            for _ in range(1 if item.name in loops else item.times):
                yield from _written(item.body, loops)
