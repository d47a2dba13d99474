"""A program as JSON, and back with every promise of a program checked."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from foldnet.errors import RunError
from foldnet.program.data import SCHEMA, Block, Item, Loop, Program, Stage, Step, Use, expand, is_private
from foldnet.store.codec import to_plain

DEEPEST = 64  # loops inside loops: each at least doubles the blocks, so no network comes near
LABEL = re.compile(r"[A-Z]+|private[1-9][0-9]*")
Part = TypeVar("Part")


def program_to_json(program: Program) -> dict[str, Any]:
    """The program as plain dicts, lists, strings and whole numbers."""
    plain: dict[str, Any] = to_plain(program)
    return plain


def program_from_json(value: Any) -> Program:
    """The program that `program_to_json` wrote.

    Raises RunError where a field is missing, unknown or of the wrong type, where the items do not run the
    stage's blocks in their order, where blocks of one label use different owners, and where a name stands
    twice.
    """
    fields = _fields(value, "the program", ("schema", "before", "stages", "after"))
    if type(fields["schema"]) is not int or fields["schema"] != SCHEMA:
        _refuse(f"its schema is {fields['schema']!r}, this version reads {SCHEMA}")
    program = Program(
        before=_each(fields["before"], "'before'", _name),
        stages=_each(fields["stages"], "'stages'", _stage),
        after=_each(fields["after"], "'after'", _name),
    )
    _check_names(program)
    return program


def _stage(value: Any, where: str) -> Stage:
    """A stage whose items run its blocks."""
    fields = _fields(value, where, ("name", "blocks", "items"))
    name = _name(fields["name"], f"the name of {where}")
    blocks = _each(fields["blocks"], f"the blocks of stage '{name}'", _block)
    items = _each(fields["items"], f"the items of stage '{name}'", _item)
    labels = [block.label for block in blocks]
    # The length is multiplied out first: a damaged file may ask for a billion turns.
    if _length(items) != len(labels) or list(expand(items)) != labels:
        _refuse(f"the items of stage '{name}' do not run its blocks in their order")
    _check_labels(name, blocks)
    return Stage(name, blocks, items)


def _block(value: Any, where: str) -> Block:
    """A block with a legal label."""
    fields = _fields(value, where, ("name", "label", "uses"))
    name = _name(fields["name"], f"the name of {where}")
    label = _label(fields["label"], f"the label of block '{name}'")
    uses = _each(fields["uses"], f"the uses of block '{name}'", _use)
    for use in uses:
        if use.layer != (f"{name}.{use.position}" if use.position else name):
            _refuse(f"layer '{use.layer}' does not stand at '{use.position}' of block '{name}'")
    return Block(name, label, uses)


def _use(value: Any, where: str) -> Use:
    """A layer with an owner of a group, or with neither."""
    fields = _fields(value, where, ("layer", "position", "group", "owner"))
    layer = _name(fields["layer"], f"the layer of {where}")
    position, group, owner = fields["position"], fields["group"], fields["owner"]
    if not isinstance(position, str):
        _refuse(f"the position of layer '{layer}' is {position!r}, not a text")
    if group is None and owner is None:
        return Use(layer, position, None, None)
    if group is None or owner is None:
        _refuse(f"layer '{layer}' has a group or an owner, but not both")
    group = _name(group, f"the group of layer '{layer}'")
    return Use(layer, position, group, _whole(owner, f"the owner of layer '{layer}'", least=0))


def _item(value: Any, where: str, depth: int = 1) -> Item:
    """A step or a loop."""
    if isinstance(value, dict) and "step" in value:
        return Step(_label(_fields(value, where, ("step",))["step"], f"the step at {where}"))
    fields = _fields(value, where, ("loop", "times", "body"))
    name = _name(fields["loop"], f"the name of the loop at {where}")
    if depth > DEEPEST:
        _refuse(f"loop '{name}' stands more than {DEEPEST} loops deep")
    times = _whole(fields["times"], f"the times of loop '{name}'", least=2)
    body = _each(fields["body"], f"the body of loop '{name}'", lambda item, place: _item(item, place, depth + 1))
    if not body:
        _refuse(f"the body of loop '{name}' is empty")
    return Loop(times, body, name)


def _length(items: Sequence[Item]) -> int:
    """How many steps the items run, without running them."""
    return sum(1 if isinstance(item, Step) else item.times * _length(item.body) for item in items)


def _check_labels(stage: str, blocks: Sequence[Block]) -> None:
    """One label, one set of owners; a private block has a label of its own, and only it is called private."""
    first: dict[str, Block] = {}
    for block in blocks:
        other = first.setdefault(block.label, block)
        if other is not block and (is_private(block) or _owners(other) != _owners(block)):
            _refuse(
                f"blocks '{other.name}' and '{block.name}' of stage '{stage}' carry one label, but not the same owners"
            )
        if is_private(block) != block.label.startswith("private"):
            _refuse(f"block '{block.name}' is labelled '{block.label}', which does not fit its layers")


def _owners(block: Block) -> tuple[tuple[str, str | None, int | None], ...]:
    """What blocks of one label have in common."""
    return tuple((use.position, use.group, use.owner) for use in block.uses)


def _check_names(program: Program) -> None:
    """No stage, block, loop or layer is named twice."""
    blocks = [block for stage in program.stages for block in stage.blocks]
    layers = [use.layer for block in blocks for use in block.uses]
    _check_unique("stage", (stage.name for stage in program.stages))
    _check_unique("block", (block.name for block in blocks))
    _check_unique("layer", (*program.before, *layers, *program.after))
    _check_unique("loop", (name for stage in program.stages for name in _loop_names(stage.items)))


def _loop_names(items: Sequence[Item]) -> list[str]:
    """The names of all loops, inner ones included."""
    loops = [item for item in items if isinstance(item, Loop)]
    return [name for loop in loops for name in (loop.name, *_loop_names(loop.body))]


def _check_unique(kind: str, names: Iterable[str]) -> None:
    """Refuse a program in which one of `names` stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            _refuse(f"{kind} '{name}' stands in it twice")
        seen.add(name)


def _fields(value: Any, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of an object, which are exactly `names`."""
    if not isinstance(value, dict):
        _refuse(f"{where} is {_shown(value)}, not an object")
    for name in names:
        if name not in value:
            _refuse(f"{where} has no '{name}'")
    for name in value:
        if name not in names:
            _refuse(f"{where} has an unknown field {name!r}")
    return value


def _each(value: Any, where: str, read: Callable[[Any, str], Part]) -> tuple[Part, ...]:
    """Every entry of a list, read; entries are counted from 0."""
    if not isinstance(value, list):
        _refuse(f"{where} is {_shown(value)}, not a list")
    return tuple(read(entry, f"entry {index} of {where}") for index, entry in enumerate(value))


def _name(value: Any, where: str) -> str:
    """A text with something in it."""
    if not isinstance(value, str) or not value:
        _refuse(f"{where} is {_shown(value)}, not a name")
    return value


def _label(value: Any, where: str) -> str:
    """A label: capitals, or private and a number."""
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        _refuse(f"{where} is {_shown(value)}, not a label such as 'A' or 'private1'")
    return value


def _whole(value: Any, where: str, *, least: int) -> int:
    """A whole number of at least `least`; JSON's true is none."""
    if type(value) is not int or value < least:
        _refuse(f"{where} is {_shown(value)}, not a whole number of at least {least}")
    return value


def _shown(value: Any) -> str:
    """A value short enough for a sentence."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse(reason: str) -> NoReturn:
    """Say what is wrong with the program, and what to do."""
    raise RunError(f"the program cannot be read: {reason}; it was damaged or edited, so fold the run again")
