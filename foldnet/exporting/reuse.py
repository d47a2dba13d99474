"""Whether what a file reuses is reused by its loops."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from foldnet.program.data import Item, Program, Step


def reused_in_loops(program: Program, loops: Collection[str]) -> bool:
    """Whether each owner is written once where these loops are loops: all that use it again do so in one of them."""
    seen = set()
    for stage in program.stages:
        uses = {block.label: block.uses for block in stage.blocks}
        for label in _written(stage.items, loops):
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
