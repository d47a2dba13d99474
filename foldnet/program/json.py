"""A program as JSON, and back with every promise of a program checked."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from msgspec import Meta

from foldnet.errors import RunError
from foldnet.program.data import Block, Item, Label, Loop, Name, Program, Stage, Step, count_runs, expand
from foldnet.store.codec import from_plain


@dataclass(frozen=True, slots=True)
class WrittenItem:
    """A step as it is written, or a loop, which has all but the step."""

    step: Label | None = None
    loop: Name | None = None
    times: Annotated[int, Meta(ge=2)] | None = None
    body: "Annotated[tuple[WrittenItem, ...], Meta(min_length=1)] | None" = None

    def read(self) -> Item:
        """The step or the loop. Raises ValueError where it is neither, or both."""
        if self.step and not (self.loop or self.times or self.body):
            return Step(self.step)
        if not self.step and self.loop and self.times and self.body:
            return Loop(self.times, tuple(item.read() for item in self.body), self.loop)
        raise ValueError("an item is neither a step nor a loop")


@dataclass(frozen=True, slots=True)
class WrittenStage:
    """A stage as it is written."""

    name: Name
    blocks: tuple[Block, ...]
    items: tuple[WrittenItem, ...]
    fixed: str = ""


@dataclass(frozen=True, slots=True)
class WrittenProgram:
    """A program as it is written."""

    schema: int
    before: tuple[Name, ...]
    stages: tuple[WrittenStage, ...]
    after: tuple[Name, ...]


def program_from_json(value: Any) -> Program:
    """The program that `to_plain` wrote.

    Raises RunError where a field is missing, unknown or of the wrong type, where the items do not run the
    stage's blocks in their order, where blocks of one label use different owners, and where a name stands
    twice.
    """
    try:
        written = from_plain(WrittenProgram, value)
        stages = [_stage(one) for one in written.stages]
    except RecursionError:
        _refuse("its loops stand too deep")
    except ValueError as error:
        _refuse(str(error))
    if written.schema != Program.schema:
        _refuse(f"its schema is {written.schema}, this version reads {Program.schema}")
    program = Program(written.before, tuple(stages), written.after)
    for fault in _faults(program):
        _refuse(fault)
    return program


def _stage(written: WrittenStage) -> Stage:
    """A stage. Raises ValueError."""
    return Stage(written.name, written.blocks, tuple(item.read() for item in written.items), written.fixed)


def _faults(program: Program) -> Iterator[str]:
    """Where the parts of a program contradict each other."""
    for stage in program.stages:
        for block in stage.blocks:
            for use in block.uses:
                dot = "" if use.position[:1] in ("", ":") else "."  # of the block itself, or a parameter of it
                if use.layer != f"{block.name}{dot}{use.position}":
                    yield f"layer '{use.layer}' does not stand at '{use.position}' of block '{block.name}'"
                if (use.group is None) != (use.owner is None):
                    yield f"layer '{use.layer}' has a group or an owner, but not both"
        labels = [block.label for block in stage.blocks]
        # The length is multiplied out first: a damaged file may ask for a billion turns.
        if count_runs(stage.items, {}) != len(labels) or list(expand(stage.items)) != labels:
            yield f"the items of stage '{stage.name}' do not run its blocks in their order"
        yield from _label_faults(stage)
    kinds = {
        "stage": [stage.name for stage in program.stages],
        "block": [block.name for block in program.blocks],
        "layer": [*program.before, *(use.layer for use in program.uses), *program.after],
        "loop": [loop.name for stage in program.stages for loop in stage.loops],
    }
    for kind, names in kinds.items():
        yield from (f"{kind} '{name}' stands in it twice" for name, count in Counter(names).items() if count > 1)


def _label_faults(stage: Stage) -> Iterator[str]:
    """One label, one set of owners; a private block has a label of its own, and only it is called private."""
    first: dict[str, Block] = {}
    for block in stage.blocks:
        other = first.setdefault(block.label, block)
        owners = [[(use.position, use.group, use.owner) for use in one.uses] for one in (other, block)]
        if other is not block and (block.private or owners[0] != owners[1]):
            names = f"'{other.name}' and '{block.name}' of stage '{stage.name}'"
            yield f"blocks {names} carry one label, but not the same owners"
        if block.private != block.label.startswith("private"):
            yield f"block '{block.name}' is labelled '{block.label}', which does not fit its layers"


def _refuse(reason: str) -> NoReturn:
    """Say what is wrong with the program, and what to do."""
    raise RunError(f"the program cannot be read: {reason}; it was damaged or edited, so fold the run again")
