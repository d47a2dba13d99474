"""The program as people read it: `stage2: private; 3x { A; B }`, and below it which owners each label uses."""

from collections.abc import Iterator, Sequence

from foldnet.bounds import checked
from foldnet.program.data import Block, Item, Program, Stage, Step, Use, letters


@checked
def program_text(program: Program) -> str:
    """A line a stage, and below it a line a label that spells its owners: `A = { conv1: a, conv2: b }`.

    Blocks with a weight of their own are `private`. Where no block of a stage repeats but some owner does,
    the stage's line writes the blocks by their owners: `stage2: private {a;b} {a;c}`.
    """
    return "\n".join(line for stage in program.stages for line in _stage_lines(stage))


def stage_text(stage: Stage) -> str:
    """The line of one stage, without its name: `private; 3x { A; B }`."""
    if _repeats_layers_only(stage):
        return " ".join(_by_owners(stage, block) for block in stage.blocks)
    blocks = {block.label: block for block in stage.blocks}
    return _items_text(stage.items, blocks)


def owner_text(stage: Stage, use: Use) -> str:
    """`a`, or `stage2-3x3.a` where the stage has several groups, or `private` for a weight of its own."""
    if use.group is None or use.owner is None:
        return "private"
    groups = {other.group for block in stage.blocks for other in block.uses if other.group is not None}
    return letters(use.owner) if len(groups) == 1 else f"{use.group}.{letters(use.owner)}"


def _stage_lines(stage: Stage) -> Iterator[str]:
    """The stage's line and those of its labels."""
    yield f"{stage.name}: {stage_text(stage)}".rstrip()
    if _repeats_layers_only(stage):
        return
    for label, block in {block.label: block for block in stage.blocks}.items():
        if not block.private:
            yield f"  {label} = {_spelled(stage, block)}"
        elif any(use.group is not None for use in block.uses):
            yield f"  {block.name} = {_spelled(stage, block)}"


def _repeats_layers_only(stage: Stage) -> bool:
    """Whether owners are reused in the stage although no block is."""
    labels = [block.label for block in stage.blocks]
    used = [(use.group, use.owner) for block in stage.blocks for use in block.uses if use.group is not None]
    return not stage.loops and len(set(labels)) == len(labels) and len(set(used)) < len(used)


def _items_text(items: Sequence[Item], blocks: dict[str, Block]) -> str:
    """Steps and loops, separated by semicolons."""

    def written(item: Item) -> str:
        if isinstance(item, Step):
            return "private" if blocks[item.label].private else item.label
        return f"{item.times}x {{ {_items_text(item.body, blocks)} }}"

    return "; ".join(map(written, items))


def _by_owners(stage: Stage, block: Block) -> str:
    """{a;b}, or `private` for a block that shares nothing."""
    if all(use.group is None for use in block.uses):
        return "private"
    return "{" + ";".join(owner_text(stage, use) for use in block.uses) + "}"


def _spelled(stage: Stage, block: Block) -> str:
    """{ conv1: a, conv2: b }."""
    if not block.uses:
        return "{ nothing shared }"
    return "{ " + ", ".join(f"{use.position or 'layer'}: {owner_text(stage, use)}" for use in block.uses) + " }"
