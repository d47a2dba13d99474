"""Labels, text and JSON of a program."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.errors import RunError
from foldnet.program.data import Loop, Program, Step, Use, count_reuses, expand, letters
from foldnet.program.json import program_from_json
from foldnet.program.loops import UnlabelledBlock, build_program
from foldnet.program.text import program_text
from foldnet.store.codec import to_plain

Pattern = list[tuple[int | None, int | None]]


def block(stage: str, index: int, owners: tuple[int | None, ...], structure: str = "3x3") -> UnlabelledBlock:
    name = f"{stage}.{index}"
    uses = [
        Use(f"{name}.conv{n}", f"conv{n}", None if owner is None else stage, owner)
        for n, owner in enumerate(owners, start=1)
    ]
    return name, structure, uses


def network(*patterns: Pattern) -> Program:
    """One stage a pattern: the owners of conv1 and conv2 of each block."""
    stages = [
        (f"stage{n}", [block(f"stage{n}", index, owners) for index, owners in enumerate(pattern)])
        for n, pattern in enumerate(patterns, start=1)
    ]
    return build_program(["stem"], stages, ["classifier"])


PRIVATE = (None, None)
P, Q = (0, 1), (2, 3)
owners = st.one_of(st.none(), st.integers(0, 3))
programs = st.lists(st.lists(st.tuples(owners, owners), max_size=8), max_size=3).map(lambda some: network(*some))


def test_letters() -> None:
    assert [letters(index) for index in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        "a", "b", "z", "aa", "ab", "az", "ba", "zz", "aaa",
    ]  # fmt: skip


def test_labels_ask_for_one_structure_and_one_set_of_owners() -> None:
    blocks = [
        block("s", 0, PRIVATE),
        block("s", 1, P),
        block("s", 2, P, structure="3x3, stride 2"),
        block("s", 3, P),
        block("s", 4, (0, None)),
        block("s", 5, (0, None)),
        block("s", 6, ()),
        block("s", 7, (1, 0)),
    ]
    stage = build_program([], [("s", blocks)], []).stages[0]
    labels = [labelled.label for labelled in stage.blocks]
    assert labels == ["private1", "A", "B", "A", "private2", "private3", "C", "D"]
    assert list(expand(stage.items)) == labels


def test_labels_begin_anew_in_each_stage() -> None:
    program = network([P, Q], [Q, P])
    assert [[labelled.label for labelled in stage.blocks] for stage in program.stages] == [["A", "B"], ["A", "B"]]


def test_the_stage_of_the_paper() -> None:
    program = network([PRIVATE, P, Q, Q, P, Q])
    assert program.stages[0].items == (
        Step("private1"), Step("A"), Loop(2, (Step("B"),), "stage1.loop1"), Step("A"), Step("B"),
    )  # fmt: skip
    assert program_text(program) == (
        "stage1: private; A; 2x { B }; A; B\n"
        "  A = { conv1: a, conv2: b }\n"
        "  B = { conv1: c, conv2: d }"
    )  # fmt: skip
    assert count_reuses(program) == 6


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ([PRIVATE, P, Q, P, Q, P, Q], "stage1: private; 3x { A; B }\n  A = { conv1: a, conv2: b }\n  B = { conv1: c, conv2: d }"),
        ([(0, 1), (0, 2)], "stage1: {a;b} {a;c}"),
        ([PRIVATE, (0, 1), (0, 2)], "stage1: private {a;b} {a;c}"),
        ([(0, None), (0, 2)], "stage1: {a;private} {a;c}"),
        ([P, Q], "stage1: A; B\n  A = { conv1: a, conv2: b }\n  B = { conv1: c, conv2: d }"),
        ([P, Q, P], "stage1: A; B; A\n  A = { conv1: a, conv2: b }\n  B = { conv1: c, conv2: d }"),
        ([P, P, (0, None)], "stage1: 2x { A }; private\n  A = { conv1: a, conv2: b }\n  stage1.2 = { conv1: a, conv2: private }"),
        ([], "stage1:"),
    ],
)  # fmt: skip
def test_text(pattern: Pattern, text: str) -> None:
    assert program_text(network(pattern)) == text


def test_owners_of_several_groups_are_told_apart() -> None:
    uses = [Use("s.0.conv1", "conv1", "s-3x3", 0), Use("s.0.conv2", "conv2", "s-1x1", 0)]
    program = build_program([], [("s", [("s.0", "", uses)])], [])
    assert program_text(program) == "s: A\n  A = { conv1: s-3x3.a, conv2: s-1x1.a }"


@settings(max_examples=60, deadline=None)
@given(programs)
def test_json_round_trip(program: Program) -> None:
    assert program_from_json(json.loads(json.dumps(to_plain(program)))) == program


@settings(max_examples=60, deadline=None)
@given(programs)
def test_items_run_the_blocks(program: Program) -> None:
    for stage in program.stages:
        assert list(expand(stage.items)) == [labelled.label for labelled in stage.blocks]
    used = [use for stage in program.stages for labelled in stage.blocks for use in labelled.uses if use.group]
    assert count_reuses(program) == len(used) - len({(use.group, use.owner) for use in used})


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    """A change to the JSON: the value that ends `path` is put at the place before it."""

    def change(value: Any) -> None:
        *walk, last, new = path
        for key in walk:
            value = value[key]
        value[last] = new

    return change


STAGE = ("stages", 0)
BLOCK = (*STAGE, "blocks", 1)
USE = (*BLOCK, "uses", 0)
LOOP = (*STAGE, "items", 2)
BROKEN = [
    (_set("schema", 2), "its schema is 2, this version reads 1"),
    (_set("schema", True), "'schema' expected int, got bool"),
    (_set("more", 1), "'more' is unknown"),
    (lambda value: value.pop("after"), "object missing required field after"),
    (_set("before", "stem"), "'before' expected array, got str"),
    (_set("before", [""]), "'before[0]' expected str of length >= 1"),
    (_set("before", ["classifier"]), "layer 'classifier' stands in it twice"),
    (_set("stages", {}), "'stages' expected array, got object"),
    (_set("stages", [3]), "'stages[0]' expected object, got int"),
    (_set(*STAGE, "name", None), "'stages[0].name' expected str, got null"),
    (_set(*BLOCK, "name", "stage1.2"), "layer 'stage1.1.conv1' does not stand at 'conv1' of block 'stage1.2'"),
    (_set(*BLOCK, "label", "a.b"), r"'stages[0].blocks[1].label' expected str matching regex '^([A-Z]+|private[1-9][0-9]*)\\Z'"),
    (_set(*BLOCK, "label", "B"), "the items of stage 'stage1' do not run its blocks in their order"),
    (_set(*USE, "position", 1), "'stages[0].blocks[1].uses[0].position' expected str, got int"),
    (_set(*USE, "owner", None), "layer 'stage1.1.conv1' has a group or an owner, but not both"),
    (_set(*USE, "owner", True), "'stages[0].blocks[1].uses[0].owner' expected int | null, got bool"),
    (_set(*USE, "owner", -1), "'stages[0].blocks[1].uses[0].owner' expected int >= 0"),
    (_set(*USE, "owner", 2), "blocks 'stage1.1' and 'stage1.4' of stage 'stage1' carry one label, but not the same owners"),
    (
        _set(*STAGE, "blocks", 0, "uses", []),
        "block 'stage1.0' is labelled 'private1', which does not fit its layers",
    ),
    (_set(*STAGE, "blocks", 0, "label", "Z"), "the items of stage 'stage1' do not run its blocks in their order"),
    (_set(*LOOP, "times", 10**12), "the items of stage 'stage1' do not run its blocks in their order"),
    (_set(*LOOP, "times", 1), "'stages[0].items[2].times' expected int >= 2"),
    (_set(*LOOP, "times", 2.0), "'stages[0].items[2].times' expected int | null, got float"),
    (_set(*LOOP, "body", []), "'stages[0].items[2].body' expected array of length >= 1"),
    (_set(*LOOP, "body", 0, {"step": "B", "x": 1}), "'stages[0].items[2].body[0].x' is unknown"),
    (_set(*LOOP, "loop", ""), "'stages[0].items[2].loop' expected str of length >= 1"),
    (_set("stages", 1, "items", 0, "loop", "stage1.loop1"), "loop 'stage1.loop1' stands in it twice"),
    (_set("stages", 1, "items", 0, "step", "A"), "an item is neither a step nor a loop"),
    (_set("stages", 1, "items", 0, {"times": 2}), "an item is neither a step nor a loop"),
    (_set("stages", 1, "name", "stage1"), "stage 'stage1' stands in it twice"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), BROKEN)
def test_damaged_json_is_refused_in_one_sentence(change: Callable[[Any], None], reason: str | None) -> None:
    value = copy.deepcopy(to_plain(network([PRIVATE, P, Q, Q, P, Q], [P, P])))
    change(value)
    if reason is None:
        assert program_from_json(value).stages[0].blocks[0].uses == ()
        return
    with pytest.raises(RunError) as error:
        program_from_json(value)
    assert str(error.value) == (
        f"the program cannot be read: {reason}; it was damaged or edited, so fold the run again"
    )


def test_a_private_block_that_repeats_is_refused() -> None:
    value = to_plain(network([PRIVATE, P]))
    value["stages"][0]["blocks"][1]["label"] = "private1"
    value["stages"][0]["items"] = [{"loop": "l", "times": 2, "body": [{"step": "private1"}]}]
    with pytest.raises(RunError, match=r"blocks 'stage1.0' and 'stage1.1' of stage 'stage1' carry one label, but not"):
        program_from_json(value)


def test_a_shared_block_that_is_called_private_is_refused() -> None:
    value = to_plain(network([P]))
    value["stages"][0]["blocks"][0]["label"] = "private1"
    value["stages"][0]["items"] = [{"step": "private1"}]
    with pytest.raises(RunError, match=r"block 'stage1.0' is labelled 'private1', which does not fit its layers"):
        program_from_json(value)


@pytest.mark.parametrize(
    ("deep", "reason"),
    [(100, "the items of stage 'stage1' do not run its blocks in their order"), (5000, "its loops stand too deep")],
)
def test_bottomless_loops_are_refused(deep: int, reason: str) -> None:
    item: dict[str, Any] = {"step": "A"}
    for depth in range(deep):
        item = {"loop": f"l{depth}", "times": 2, "body": [item]}
    value = to_plain(network([P]))
    value["stages"][0]["items"] = [item]
    with pytest.raises(RunError, match=f"^the program cannot be read: {reason}; it was damaged"):
        program_from_json(value)


@pytest.mark.parametrize("value", [None, [], "program", 1])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(RunError, match=r"^the program cannot be read: expected object, got (null|array|str|int);"):
        program_from_json(value)
