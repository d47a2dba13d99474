"""From blocks and the owners that their layers use to a program: labels, then loops."""

from collections.abc import Hashable, Sequence

from foldnet.program.data import Block, Program, Stage, Use, is_private, letters
from foldnet.program.loops import find_loops, name_loops

UnlabelledBlock = tuple[str, Hashable, Sequence[Use]]  # (qualified name, structure, uses)


def build_program(
    before: Sequence[str], stages: Sequence[tuple[str, Sequence[UnlabelledBlock]]], after: Sequence[str]
) -> Program:
    """The program of a network whose sequences of blocks are `stages`: (name, blocks in their order).

    Two blocks of a stage carry one label when they have one structure (whatever says it: a number, a text) and use the
    same owners at every position. Labels are A, B, ... in order of first appearance; a block with a weight of its own
    is private1, private2, ... and never repeats.
    """
    return Program(tuple(before), tuple(_build_stage(name, blocks) for name, blocks in stages), tuple(after))


def _build_stage(name: str, unlabelled: Sequence[UnlabelledBlock]) -> Stage:
    """Blocks with their labels, and the items that run them."""
    labels: dict[tuple[object, ...], str] = {}
    blocks: list[Block] = []
    private = 0
    for block_name, structure, uses in unlabelled:
        if is_private(Block(block_name, "", tuple(uses))):
            private += 1
            label = f"private{private}"
        else:
            key = (structure, *((use.position, use.group, use.owner) for use in uses))
            label = labels.setdefault(key, letters(len(labels)).upper())
        blocks.append(Block(block_name, label, tuple(uses)))
    items = name_loops(find_loops([block.label for block in blocks]), name)
    return Stage(name, tuple(blocks), items)
