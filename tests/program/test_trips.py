"""The depth dial's order of execution: as found, with fewer trips, with more, and for loops in loops."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.errors import SettingError, UnknownName
from foldnet.program.data import (
    Loop,
    Program,
    Stage,
    Step,
    check_trips,
    count_runs,
    expand,
    give_own_steps,
    loops_of,
    scales,
    schedule,
)

A, B, C = Step("A"), Step("B"), Step("C")
AB = (Loop(3, (A, B), "s.loop1"), C)
NESTED = (Loop(2, (A, Loop(2, (B,), "s.loop2")), "s.loop1"), B)
PROGRAM = Program((), (Stage("s", (), NESTED), Stage("t", (), (Loop(4, (A,), "t.loop1"),))), ())


def test_as_found_every_use_of_a_label_is_its_next_step():
    assert schedule(AB) == (("A", 0), ("B", 0), ("A", 1), ("B", 1), ("A", 2), ("B", 2), ("C", 0))
    assert schedule((A, B, A)) == (("A", 0), ("B", 0), ("A", 1))


def test_fewer_trips_leave_out_the_last():
    assert schedule(AB, {"s.loop1": 1}) == (("A", 0), ("B", 0), ("C", 0))


def test_no_trip_leaves_the_loop_out():
    assert schedule(AB, {"s.loop1": 0}) == (("C", 0),)
    assert schedule(NESTED, {"s.loop2": 0}) == (("A", 0), ("A", 1), ("B", 4))


def test_more_trips_repeat_the_last():
    assert schedule(AB, {"s.loop1": 5})[6:] == (("A", 2), ("B", 2)) * 2 + (("C", 0),)


def test_what_comes_after_a_loop_keeps_its_step():
    program = (Loop(3, (A,), "s.loop1"), B, A)
    assert schedule(program, {"s.loop1": 1}) == (("A", 0), ("B", 0), ("A", 3))
    assert schedule(program, {"s.loop1": 4})[-1] == ("A", 3)


def test_loops_in_loops():
    assert schedule(NESTED) == (("A", 0), ("B", 0), ("B", 1), ("A", 1), ("B", 2), ("B", 3), ("B", 4))
    assert schedule(NESTED, {"s.loop2": 1}) == (("A", 0), ("B", 0), ("A", 1), ("B", 2), ("B", 4))
    assert schedule(NESTED, {"s.loop2": 3, "s.loop1": 1}) == (("A", 0), ("B", 0), ("B", 1), ("B", 1), ("B", 4))
    assert schedule(NESTED, {"s.loop1": 3})[-4:] == (("A", 1), ("B", 2), ("B", 3), ("B", 4))


def reference(items, trips):
    """Write every trip of every loop as found, each use with its step; then pick trips from what is written."""
    count = {}

    def number(items):
        out = []
        for item in items:
            if isinstance(item, Step):
                out.append((item.label, count.get(item.label, 0)))
                count[item.label] = count.get(item.label, 0) + 1
            else:
                out.append((item.name, [number(item.body) for _ in range(item.times)]))
        return out

    def pick(numbered):
        out = []
        for name, value in numbered:
            if isinstance(value, int):
                out.append((name, value))
                continue
            for trip in range(trips.get(name, len(value))):
                out += pick(value[trip] if trip < len(value) else value[-1])
        return out

    return tuple(pick(number(items)))


def programs():
    """Items with a name for every loop."""
    steps = st.sampled_from("ABC").map(Step)
    items = st.recursive(
        steps,
        lambda inner: st.builds(
            lambda n, b: Loop(n, tuple(b)), st.integers(2, 4), st.lists(inner, max_size=3, min_size=1)
        ),
        max_leaves=8,
    )

    def named(items, count):
        out = []
        for item in items:
            if isinstance(item, Loop):
                count[0] += 1
                name = f"s.loop{count[0]}"
                item = Loop(item.times, named(item.body, count), name)
            out.append(item)
        return tuple(out)

    return st.lists(items, min_size=1, max_size=4).map(lambda found: named(found, [0]))


@settings(max_examples=200)
@given(programs(), st.dictionaries(st.sampled_from([f"s.loop{i}" for i in range(1, 6)]), st.integers(0, 6)))
def test_any_program_runs_as_the_slow_reference_says(items, trips):
    assert schedule(items, trips) == reference(items, trips)
    assert [label for label, _ in schedule(items)] == list(expand(items))


@settings(max_examples=50)
@given(programs(), st.dictionaries(st.sampled_from([f"s.loop{i}" for i in range(1, 6)]), st.integers(0, 6)))
def test_runs_are_counted_without_walking_them(items, trips):
    assert count_runs(items, trips) == len(schedule(items, trips)) == len(scales(items, trips))


def test_what_runs_again_gets_a_step_of_its_own():
    order = schedule(AB, {"s.loop1": 5})
    own, copied = give_own_steps(order, {"A": 3, "C": 1})
    assert own[:6] == order[:6]
    assert own[6:] == (("A", 3), ("B", 2), ("A", 4), ("B", 2), ("C", 0))  # B has no tensors of its own
    assert copied == {"A": (2, 2)}


def test_scales_are_trips_found_by_trips_run_over_all_loops_around():
    assert scales(AB, {"s.loop1": 6}) == (0.5,) * 12 + (1.0,)
    assert scales(NESTED, {"s.loop1": 1, "s.loop2": 4}) == (2.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_the_bound_is_on_the_runs_of_the_whole_pass():
    check_trips(PROGRAM, {"t.loop1": 10_000 - 7})
    with pytest.raises(SettingError):
        check_trips(PROGRAM, {"t.loop1": 10_000 - 6})


def test_loops_come_with_the_trips_that_they_were_found_with():
    assert loops_of(PROGRAM) == {"s.loop1": 2, "s.loop2": 2, "t.loop1": 4}


@pytest.mark.parametrize(
    ("trips", "error", "said"),
    [
        (
            {"s.loop3": 2},
            UnknownName,
            "`steps` names 's.loop3', which is not a loop; did you mean 's.loop1' or 's.loop2' or 't.loop1'?",
        ),
        ({"zzz": 2}, UnknownName, "`steps` names 'zzz', which is not a loop; the loops are s.loop1, s.loop2, t.loop1"),
        ({"s.loop1": -3}, SettingError, "`steps={'s.loop1': -3}` is not legal; give a whole number from 0 to 10000"),
        (
            {"t.loop1": 10**9},
            SettingError,
            "`steps={'t.loop1': 1000000000}` is not legal; give a whole number from 0 to 10000",
        ),
        (
            {"t.loop1": 9_995, "s.loop1": 3},
            SettingError,
            "`steps` makes 10,005 runs of blocks in all; turn loops less, to 10,000 at most",
        ),
    ],
)
def test_wrong_trips_are_named(trips, error, said):
    with pytest.raises(error) as caught:
        check_trips(PROGRAM, trips)
    assert str(caught.value) == said


def test_without_loops_that_is_said():
    with pytest.raises(UnknownName) as caught:
        check_trips(Program((), (Stage("s", (), (A, B)),), ()), {"s.loop1": 2})
    assert str(caught.value) == "`steps` names 's.loop1', which is not a loop; this network has no loop"
