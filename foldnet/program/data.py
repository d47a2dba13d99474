"""The folded network as data: which block runs when, which owners its layers use, and where it loops.

A program is made once, by pure functions, and knows no torch. The looped module, the text, the graph, the pictures and
the JSON are each a reading of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from foldnet.bounds import BOUNDS, shown
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.store.codec import Count

Name = Annotated[str, Meta(min_length=1)]
NUMBER = "N"  # stands in the name of a stage for the numbers of its blocks: "blockN" has block1, block2, ...
Label = Annotated[str, Meta(pattern=r"^([A-Z]+|private[1-9][0-9]*)\Z")]


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

    layer: Name  # qualified name in the unrolled network, such as "stage2.1.conv1"
    position: str  # its name inside the block, such as "conv1"
    group: Name | None  # the group whose owner it uses; None where the layer keeps a weight of its own
    owner: Count | None  # index of the owner within the group; None with group


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the unrolled network: blocks of one label have one structure and the same owners."""

    name: Name  # qualified name in the unrolled network, such as "stage2.1"
    label: Label  # "A", "B", ... ; a block with a weight of its own has a label that no other block has
    uses: tuple[Use, ...]

    @property
    def private(self) -> bool:
        """Whether it has a weight of its own, so that it never repeats; one without weights, such as a ReLU, may."""
        return any(use.group is None for use in self.uses)


@dataclass(frozen=True, slots=True)
class Stage:
    """One sequence of blocks and the items that produce it: expand(items) == [block.label for block in blocks].

    Its loops run any number of times, unless `fixed` says why they run as often as they were found alone.
    """

    name: str
    blocks: tuple[Block, ...]
    items: tuple[Item, ...]
    fixed: str = ""

    @property
    def path(self) -> str:
        """The name of the module that holds the blocks; "" where that is the network itself, a stage which is called
        "network". A block that stands alone is a stage of its name, and siblings stand where the first of them does."""
        return self.blocks[0].name if self.siblings else self.name if self.alone else self._holder

    @property
    def paths(self) -> tuple[str, ...]:
        """The names of the modules that are all of it."""
        return tuple(block.name for block in self.blocks) if self.siblings else (self.path,)

    @property
    def _holder(self) -> str:
        """The name of the module whose child the first block is."""
        return self.blocks[0].name.rpartition(".")[0]

    @property
    def siblings(self) -> bool:
        """Whether its blocks stand in no container: children of one module, block1, block2, ..., whose stage is called
        "blockN"."""
        named = self.name.endswith(NUMBER) and self.blocks[0].name.startswith(self.name.removesuffix(NUMBER))
        return named and not self.alone and self.name != self._holder

    @property
    def alone(self) -> bool:
        """Whether it is a block that stands in no sequence."""
        return self.blocks[0].name == self.name and len(self.blocks) == 1

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Every loop, an outer one before those inside it."""
        return tuple(loops_in(self.items))


@dataclass(frozen=True, slots=True)
class Program:
    """The whole network: layers before the stages, the stages in order, and layers after them."""

    computed: ClassVar = ("schema",)
    schema: ClassVar = 1  # of a program as JSON
    before: tuple[str, ...]  # qualified names of weighted layers that run before the first stage, such as ("stem",)
    stages: tuple[Stage, ...]
    after: tuple[str, ...]  # and after the last one, such as ("classifier",)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every block, in the order of the unrolled network."""
        return tuple(block for stage in self.stages for block in stage.blocks)

    @property
    def uses(self) -> tuple[Use, ...]:
        """Every use, in the order of the unrolled network."""
        return tuple(use for block in self.blocks for use in block.uses)

    @property
    def loops(self) -> int:
        """How many loops are written, those inside others included."""
        return sum(len(stage.loops) for stage in self.stages)


def expand(items: tuple[Item, ...]) -> Iterator[str]:
    """The labels in the order in which they run."""
    for item in items:
        yield from (item.label,) if isinstance(item, Step) else item.times * tuple(expand(item.body))


def loops_in(items: tuple[Item, ...]) -> Iterator[Loop]:
    """Every loop, an outer one before those inside it."""
    for item in items:
        if isinstance(item, Loop):
            yield item
            yield from loops_in(item.body)


def count_loops(items: tuple[Item, ...]) -> int:
    """How many loops are written, those inside others included."""
    return len(list(loops_in(items)))


def count_reuses(program: Program) -> int:
    """Layers that use an owner, less the owners that are used: the weights which sharing saves."""
    used = [(use.group, use.owner) for use in program.uses if use.group is not None]
    return len(used) - len(set(used))


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
                    module, _, parameter = use.position.partition(":")  # as sharing/sequences.py names layers
                    gain = f"{parameter}_gain" if parameter else "gain"
                    parts = (stage.path, "blocks", block.label, "body", module, gain)
                    yield ".".join(filter(None, parts)), steps[block.label], use.layer
            steps[block.label] += 1


Call = tuple[str, int]  # label, and which of its steps' own tensors
MOST_RUNS = 10_000  # of blocks, in one pass


def schedule(items: tuple[Item, ...], trips: Mapping[str, int] | None = None) -> tuple[Call, ...]:
    """(label, step) in the order of execution.

    As found, the n-th use of a label is its step n. A loop named in `trips` runs that often instead: fewer trips leave
    out the last ones, further trips repeat the steps of the last one found.
    """
    return tuple((label, step) for label, step, _ in _uses(items, trips or {}, Counter(), 1.0))


def scales(items: tuple[Item, ...], trips: Mapping[str, int]) -> tuple[float, ...]:
    """For each entry of the schedule: trips found by trips run, multiplied over the loops around it."""
    return tuple(scale for _, _, scale in _uses(items, trips, Counter(), 1.0))


def give_own_steps(
    order: tuple[Call, ...], steps: Mapping[str, int]
) -> tuple[tuple[Call, ...], dict[str, tuple[int, ...]]]:
    """The schedule in which whatever runs again runs with a step of its own, and by label the steps that those are
    copies of.

    `steps` counts the steps found of the labels that have any; own ones are numbered behind those.
    """
    used: set[Call] = set()
    own: list[Call] = []
    copied: dict[str, list[int]] = defaultdict(list)
    for label, step in order:
        use = label, step
        if use in used and label in steps:
            use = label, steps[label] + len(copied[label])
            copied[label].append(step)
        used.add(use)
        own.append(use)
    return tuple(own), {label: tuple(copies) for label, copies in copied.items()}


def _uses(
    items: tuple[Item, ...], trips: Mapping[str, int], seen: Counter[str], scale: float
) -> Iterator[tuple[str, int, float]]:
    """Walk the items; `seen` counts the uses that the program as found has had of each label."""
    for item in items:
        if isinstance(item, Step):
            yield item.label, seen[item.label], scale
            seen[item.label] += 1
            continue
        wanted = trips.get(item.name, item.times)
        part = scale * item.times / wanted if wanted else scale
        found = [tuple(_uses(item.body, trips, seen, part)) for _ in range(item.times)]
        for trip in range(wanted):
            yield from found[min(trip, item.times - 1)]


def count_runs(items: tuple[Item, ...], trips: Mapping[str, int]) -> int:
    """How many blocks run one after the other, without walking them."""
    return sum(
        1 if isinstance(item, Step) else trips.get(item.name, item.times) * count_runs(item.body, trips)
        for item in items
    )


def loops_of(program: Program) -> dict[str, int]:
    """Every loop by name, with the number of trips it was found with."""
    return {loop.name: loop.times for stage in program.stages for loop in stage.loops}


def turnable(program: Program) -> dict[str, int]:
    """Those that may run another number of times."""
    return {loop.name: loop.times for stage in program.stages if not stage.fixed for loop in stage.loops}


def check_trips(program: Program, trips: Mapping[str, int], setting: str = "steps") -> None:
    """Raise UnknownName for a loop that is not there, SettingError for one that runs as found alone, for trips out of
    bounds and for more than MOST_RUNS runs.

    The sentences speak of the `setting` by which the trips were given.
    """
    loops = loops_of(program)
    for name, count in trips.items():
        if name not in loops:
            there = f"; the loops are {', '.join(loops)}" if loops else "; this network has no loop"
            raise UnknownName(f"`{setting}` names '{name}', which is not a loop{nearest(str(name), loops) or there}")
        if fixed := next((one.fixed for one in program.stages for loop in one.loops if loop.name == name), ""):
            raise SettingError(f"`{setting}` names '{name}', which runs as often as it was found: {fixed}")
        if not BOUNDS["steps"].holds(count):
            raise SettingError(f"`{setting}={{{name!r}: {shown(count)}}}` is not legal; give {BOUNDS['steps']}")
    runs = sum(count_runs(stage.items, trips) for stage in program.stages)
    if trips and runs > MOST_RUNS:
        most = f"turn loops less, to {MOST_RUNS:,} at most"
        raise SettingError(f"`{setting}` makes {runs:,} runs of blocks in all; {most}")
