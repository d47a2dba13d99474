"""The folded network as data: which block runs when, which owners its layers use, and where it loops.

A program is made once, by pure functions, and knows no torch. The looped module, the text, the graph, the pictures and
the JSON are each a reading of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

SCHEMA = 1  # of a program as JSON


@dataclass(frozen=True, slots=True)
class Step:
    """One use of a block, named by the block's label."""

    computed: ClassVar = ("step=label",)
    unwritten: ClassVar = ("label",)
    label: str


@dataclass(frozen=True, slots=True)
class Loop:
    """A body that runs `times` times in a row: A B A B A B -> Loop(3, (Step("A"), Step("B")))."""

    computed: ClassVar = ("loop=name",)
    unwritten: ClassVar = ("name",)
    times: int
    body: tuple[Item, ...]
    name: str = ""  # such as "stage2.loop1"; given when the loop becomes part of a program


Item = Step | Loop


@dataclass(frozen=True, slots=True)
class Use:
    """One weighted layer of one block, and the weight that it uses."""

    layer: str  # qualified name in the unrolled network, such as "stage2.1.conv1"
    position: str  # its name inside the block, such as "conv1"
    group: str | None  # the group whose owner it uses; None where the layer keeps a weight of its own
    owner: int | None  # index of the owner within the group; None with group


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the unrolled network: blocks of one label have one structure and the same owners."""

    name: str  # qualified name in the unrolled network, such as "stage2.1"
    label: str  # "A", "B", ... ; a block with a weight of its own has a label that no other block has
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One sequence of blocks and the items that produce it: expand(items) == [block.label for block in blocks]."""

    name: str
    blocks: tuple[Block, ...]
    items: tuple[Item, ...]

    @property
    def path(self) -> str:
        """The name of the module that holds the blocks; "" where that is the network itself, a stage which is called
        "network"."""
        return self.blocks[0].name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Program:
    """The whole network: layers before the stages, the stages in order, and layers after them."""

    computed: ClassVar = ("schema",)
    schema: ClassVar = SCHEMA
    before: tuple[str, ...]  # qualified names of weighted layers that run before the first stage, such as ("stem",)
    stages: tuple[Stage, ...]
    after: tuple[str, ...]  # and after the last one, such as ("classifier",)

    @property
    def uses(self) -> tuple[Use, ...]:
        """Every use, in the order of the unrolled network."""
        return tuple(use for stage in self.stages for block in stage.blocks for use in block.uses)

    @property
    def loops(self) -> int:
        """How many loops are written, those inside others included."""
        return sum(1 for stage in self.stages for _ in loops_in(stage.items))


def expand(items: tuple[Item, ...]) -> Iterator[str]:
    """The labels in the order in which they run."""
    for item in items:
        if isinstance(item, Step):
            yield item.label
        else:
            for _ in range(item.times):
                yield from expand(item.body)


def loops_in(items: tuple[Item, ...]) -> Iterator[Loop]:
    """Every loop, an outer one before those inside it."""
    for item in items:
        if isinstance(item, Loop):
            yield item
            yield from loops_in(item.body)


def count_reuses(program: Program) -> int:
    """Layers that use an owner, less the owners that are used: the weights which sharing saves."""
    used = [(use.group, use.owner) for use in program.uses if use.group is not None]
    return len(used) - len(set(used))


def is_private(block: Block) -> bool:
    """Whether a block has a weight of its own, so that it never repeats; one without weights, such as a ReLU, may."""
    return any(use.group is None for use in block.uses)


def letters(index: int) -> str:
    """0, 1, ..., 25, 26, ... -> "a", "b", ..., "z", "aa", ...: how owners and, in capitals, blocks are called."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("a") + rest) + name
    return name


def gain_names(program: Program) -> Iterator[tuple[str, int, str]]:
    """(name of the stacked gains inside the looped network, step, name of the unrolled layer) for every use of an
    owner."""
    for stage in program.stages:
        steps: Counter[str] = Counter()
        for block in stage.blocks:
            for use in block.uses:
                if use.group is not None:
                    parts = (stage.path, "blocks", block.label, "body", use.position, "gain")
                    yield ".".join(filter(None, parts)), steps[block.label], use.layer
            steps[block.label] += 1
