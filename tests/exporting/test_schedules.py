"""Which loops of a stage become one."""

import pytest

from foldnet.exporting.schedules import schedules
from foldnet.program.data import Block, Loop, Stage, Step, expand


def stage(*items):
    return Stage("s", tuple(Block(f"s.{n}", label, ()) for n, label in enumerate(expand(items))), items)


def steps(labels):
    return tuple(Step(label) for label in labels)


def loop(number, times, *body):
    return Loop(times, tuple(body), f"s.loop{number}")


A, B, C = steps("ABC")


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ((loop(1, 3, A), B), []),
        ((A, B, A), []),
        ((A, loop(1, 2, B), A), []),
        ((loop(1, 2, A), loop(2, 2, B)), []),
        ((C, loop(1, 2, loop(2, 2, A), B)), [(1, ("s.loop1", "s.loop2"))]),
        ((C, loop(1, 2, A), B, loop(2, 2, A)), [(1, ("s.loop1", "s.loop2"))]),
        ((loop(1, 2, A), B, A, C), [(0, ("s.loop1",))]),
        ((loop(1, 2, A), loop(2, 2, B), A, B), [(0, ("s.loop1", "s.loop2"))]),
        ((loop(1, 2, A), A, loop(2, 2, B), B), [(0, ("s.loop1",)), (3, ("s.loop2",))]),
    ],
)
def test_loops_in_loops_and_loops_that_share_a_body_become_one(items, found):
    assert [(one.block, one.names) for one in schedules(stage(*items))] == found
    assert [one.block - 7 for one in schedules(stage(*items), 7)] == [block for block, _ in found]


@pytest.mark.parametrize(("between", "joined"), [(12, True), (13, False)])
def test_loops_far_apart_stay_apart(between, joined):
    items = (loop(1, 2, A), *steps(chr(ord("B") + n) for n in range(between)), A)
    assert bool([*schedules(stage(*items))]) is joined
