"""Loops are found, exactly where that is promised, and running them gives the labels back."""

import random
import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.program.data import Item, Loop, Step, count_loops, expand
from foldnet.program.loops import EXACT_LABELS, find_loops, name_loops

FEW = settings(max_examples=60, deadline=None)


def cost(items: tuple[Item, ...]) -> int:
    return sum(1 if isinstance(item, Step) else cost(item.body) for item in items)


def written(items: tuple[Item, ...]) -> str:
    """P 2{Q} P Q: short enough for a table of cases."""
    return " ".join(item.label if isinstance(item, Step) else f"{item.times}{{{written(item.body)}}}" for item in items)


@cache
def cheapest(labels: str) -> tuple[int, int]:
    """(labels written, items at the top level) of the best program, by trying every first item."""
    if not labels:
        return 0, 0
    best = []
    rest = cheapest(labels[1:])
    best.append((rest[0] + 1, rest[1] + 1))
    for period in range(1, len(labels) // 2 + 1):
        for times in range(2, len(labels) // period + 1):
            if labels.startswith(labels[:period] * times):
                rest = cheapest(labels[period * times :])
                best.append((cheapest(labels[:period])[0] + rest[0], 1 + rest[1]))
    return min(best)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("", ""),
        ("A", "A"),
        ("AB", "A B"),
        ("AA", "2{A}"),
        ("PQQPQ", "P 2{Q} P Q"),  # the paper's SWRN 40-8-8 stage
        ("ABABAB", "3{A B}"),
        ("AABAAB", "2{2{A} B}"),
        ("QPQQPQ", "2{Q P Q}"),  # not Q P 2{Q} P Q, which the shortest period would suggest
        ("QPQPQ", "2{Q P} Q"),  # of two equals the one that loops earlier
        ("ABCABCXYXY", "2{A B C} 2{X Y}"),
        ("AAAABAAAAB", "2{4{A} B}"),
    ],
)
def test_known_programs(labels: str, expected: str) -> None:
    assert written(find_loops(labels)) == expected


@FEW
@given(st.lists(st.sampled_from("ABC"), max_size=40))
def test_running_the_items_gives_the_labels(labels: list[str]) -> None:
    items = find_loops(labels)
    assert list(expand(items)) == labels
    assert cost(items) <= len(labels)


@settings(max_examples=300, deadline=None)
@given(st.text("AB", max_size=8) | st.text("ABC", max_size=8))
def test_best_of_all_programs(labels: str) -> None:
    items = find_loops(labels)
    assert (cost(items), len(items)) == cheapest(labels)


@FEW
@given(st.text("ABC", min_size=1, max_size=5), st.integers(2, 6), st.text("ABCD", max_size=4), st.integers(1, 3))
def test_planted_loops_are_never_missed(body: str, times: int, tail: str, outer: int) -> None:
    labels = (body * times + tail) * outer
    assert cost(find_loops(labels)) <= len(body) + len(tail)


@pytest.mark.parametrize(
    ("labels", "planted"),
    [
        ("ABCDE" * 40, 5),
        ("QPQ" * 70, 3),
        (("AAB" * 3 + "C") * 20, 3),
        (("AB" * 10 + "A" * 10) * 33, 3),
        ("X" + "ABC" * 40 + "YZ" + "DE" * 40 + "XZY", 11),
        ("A" * 1000, 1),
        ("ABCDEFG" * 143, 7),
        ((("AAB" * 3 + "C") * 5 + "D") * 19, 4),
    ],
)
def test_planted_loops_in_long_sequences(labels: str, planted: int) -> None:
    assert len(labels) > EXACT_LABELS
    items = find_loops(labels)
    assert "".join(expand(items)) == labels
    assert cost(items) <= planted


def test_beyond_the_largest_table_pieces_are_folded_alone() -> None:
    labels = ["A", "B"] * 2500
    items = find_loops(labels)
    assert list(expand(items)) == labels
    assert cost(items) == 6


@pytest.mark.parametrize("kind", ["equal", "period", "random", "fibonacci"])
@pytest.mark.parametrize("count", [EXACT_LABELS, 1000])
def test_fast_enough_for_any_pattern(kind: str, count: int) -> None:
    fibonacci = ["A", "AB"]
    while len(fibonacci[-1]) < count:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    draw = random.Random(0)
    labels = {
        "equal": "A" * count,
        "period": ("ABCDEFG" * count)[:count],
        "random": "".join(draw.choice("AB") for _ in range(count)),
        "fibonacci": fibonacci[-1][:count],
    }[kind]
    started = time.process_time()
    items = find_loops(labels)
    assert time.process_time() - started < 1.0
    assert "".join(expand(items)) == labels


def test_loops_are_named_before_those_inside_them() -> None:
    items = (Loop(2, (Step("A"), Loop(3, (Step("B"),)))), Step("C"), Loop(4, (Step("D"),)))
    named = name_loops(items, "stage2")
    assert named == (
        Loop(2, (Step("A"), Loop(3, (Step("B"),), "stage2.loop2")), "stage2.loop1"),
        Step("C"),
        Loop(4, (Step("D"),), "stage2.loop3"),
    )
    assert count_loops(named) == 3
    assert count_loops((Step("A"),)) == 0
