"""The sweep walks down greedily, and what picks from its curve picks the right point or says why it can't."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.choosing.sweep import Ladder, Outcome, Rung, SweepPoint, descend, knee, within_budget, within_drop
from foldnet.data.tasks import Classification
from foldnet.errors import NothingToFold
from foldnet.folding.plan import FoldPlan
from foldnet.program.data import Program

EMPTY = FoldPlan((), Program((), (), ()))


def ladder(name, size, heights, group=None, rows=None):
    """One more of `rows` joins the first at every rung."""
    rows = rows or list(range(size))
    rungs = []
    for count, height in enumerate(heights, start=2):
        merged = tuple(rows[:count])
        rungs.append(
            Rung(height, {group or name: tuple(sorted([merged, *((r,) for r in range(size) if r not in merged)]))})
        )
    return Ladder(name, tuple(rungs))


def depth_of(clusters, name):
    """How many merges a group has had."""
    return sum(len(cluster) - 1 for cluster in clusters.get(name, ()))


def walk(ladders, right):
    """The sweep in which `right` says from the clusters how many images are right; and what was judged."""
    judged, last = [], {}

    def plan(clusters):
        last["clusters"] = clusters
        return EMPTY

    def judge(_):
        judged.append(last["clusters"])
        count = right(last["clusters"])
        return Outcome(count / 100, count / 100, count, 100, 10, 40)

    return descend(tuple(ladders), "layer", plan, judge), judged


def test_the_merge_that_costs_least_goes_first():
    ladders = [ladder("a", 3, [0.9, 0.8]), ladder("b", 3, [0.7, 0.6])]
    cost = {"a": (0, 5, 9), "b": (0, 1, 20)}
    points, judged = walk(ladders, lambda c: 100 - sum(cost[name][depth_of(c, name)] for name in "ab"))
    assert [point.merged for point in points] == ["", "b", "a", "a", "b"]
    assert [point.height for point in points] == [None, 0.7, 0.9, 0.8, 0.6]
    assert [point.right for point in points] == [100, 99, 94, 90, 71]
    assert points[0].clusters == {}
    assert points[-1].clusters == {"a": ((0, 1, 2),), "b": ((0, 1, 2),)}
    assert len(judged) == 1 + 2 + 2 + 2 + 1


def test_among_equals_the_more_similar_layers_go_first():
    ladders = [ladder("a", 3, [0.5, 0.4]), ladder("b", 3, [0.9, 0.45])]
    points, _ = walk(ladders, lambda _: 50)
    assert [point.merged for point in points] == ["", "b", "a", "b", "a"]


def test_ladders_of_one_group_add_their_merges_up():
    ladders = [ladder("a", 4, [0.9], "g", [0, 2]), ladder("a, family 2", 4, [0.8], "g", [1, 3])]
    points, _ = walk(ladders, lambda _: 50)
    assert points[1].clusters == {"g": ((0, 2), (1,), (3,))}
    assert points[2].clusters == {"g": ((0, 2), (1, 3))}


def test_without_ladders_there_is_one_point():
    points, judged = walk([], lambda _: 7)
    assert [(point.merged, point.accuracy) for point in points] == [("", 0.07)]
    assert judged == [{}]


@given(st.lists(st.integers(2, 5), min_size=1, max_size=4), st.integers(0, 2**31))
def test_the_best_candidate_is_always_taken_and_all_is_merged_in_the_end(sizes, seed):
    ladders = [ladder(str(i), size, [1 - k / 10 for k in range(size - 1)]) for i, size in enumerate(sizes)]

    def right(clusters):
        return hash((seed, *(depth_of(clusters, str(i)) for i in range(len(sizes))))) % 100

    points, _ = walk(ladders, right)
    assert len(points) == 1 + sum(size - 1 for size in sizes)
    state = [0] * len(sizes)
    for point in points[1:]:
        options = [
            hash((seed, *state[:i], state[i] + 1, *state[i + 1 :])) % 100
            for i, size in enumerate(sizes)
            if state[i] < size - 1
        ]
        assert point.right == max(options)
        state[int(point.merged)] += 1
    assert points[-1].clusters == {str(i): (tuple(range(size)),) for i, size in enumerate(sizes)}


def point(stored, right, *, loops=0, images=1000):
    """A point that stores `stored` numbers: as many parameters, four times as many bytes."""
    score = right / images
    return SweepPoint(score, score, right, images, stored, 4 * stored, "layer", "", None, 1, stored, loops, 0, {})


def test_within_a_drop_the_smallest_is_taken():
    points = (point(100, 900), point(80, 898), point(60, 895), point(40, 896), point(20, 800))
    assert within_drop(points, 0.9, 0.005) is points[3]
    assert within_drop(points, 0.9, 0.0) is points[0]
    assert within_drop(points, 0.9, 0.002) is points[1]
    assert within_drop(points, 0.9, 1.0) is points[4]


def test_within_a_drop_accuracy_and_then_more_loops_decide_among_those_that_store_the_same():
    points = (point(50, 896, loops=2), point(50, 898), point(50, 898, loops=1), point(60, 900, loops=3))
    assert within_drop(points, 0.9, 0.01) is points[2]
    assert within_drop(points[:2], 0.9, 0.01) is points[1]


def test_a_drop_is_met_exactly_in_spite_of_rounding():
    points = (point(100, 900), point(50, 895))
    assert within_drop(points, 0.9, 0.5 / 100) is points[1]


def test_a_drop_that_cannot_be_met_says_what_can():
    points = (point(100, 890), point(50, 880))
    with pytest.raises(NothingToFold) as caught:
        within_drop(points, 0.9, 0.005)
    assert str(caught.value) == (
        "`max_drop=0.5` cannot be met: the best point of the sweep is 1.00 points under the soft network; "
        "allow at least that"
    )


def test_within_a_budget_the_most_accurate_is_taken():
    points = (point(100, 900), point(80, 890), point(60, 895), point(40, 895, loops=1))
    assert within_budget(points, 1000, in_bytes=False) is points[0]
    assert within_budget(points, 99, in_bytes=False) is points[3]
    assert within_budget(points, 399, in_bytes=True) is points[3]
    assert within_budget(points, 400, in_bytes=True) is points[0]


@pytest.mark.parametrize(("in_bytes", "budget", "said"), [(False, 39, "39 parameters"), (True, 159, "159 bytes")])
def test_a_budget_that_cannot_be_reached_says_what_can(in_bytes, budget, said):
    points = (point(1000, 900), point(40, 880))
    least = "160" if in_bytes else "40"
    with pytest.raises(NothingToFold) as caught:
        within_budget(points, budget, in_bytes=in_bytes)
    assert (
        str(caught.value)
        == f"a `budget` of {said} cannot be reached: the smallest fold has {least}; give at least that"
    )


def test_numbers_of_a_budget_are_written_with_commas():
    with pytest.raises(NothingToFold) as caught:
        within_budget((point(1_234_567, 9),), 12_000, in_bytes=False)
    assert str(caught.value) == (
        "a `budget` of 12,000 parameters cannot be reached: the smallest fold has 1,234,567; give at least that"
    )


FLAT = "the smallest fold is within 0.1 points of the best, so there is no knee before it"


@pytest.mark.parametrize("rights", [(900, 900, 900), (900, 900, 899), (890, 895, 900)])
def test_a_flat_curve_has_its_knee_at_the_end(rights):
    points = tuple(point(stored, right) for stored, right in zip((100, 50, 10), rights, strict=True))
    assert knee(points) == (points[2], FLAT)


def test_a_sharp_knee_is_found():
    points = (point(100, 900), point(80, 899), point(60, 898), point(40, 897), point(20, 500))
    best, why = knee(points)
    assert best is points[3]
    assert why == "40 shared numbers give 89.70 % on validation data; the next smaller fold, 20, gives 50.00 %"


def test_a_straight_line_has_no_knee_and_stays_with_the_smallest():
    points = tuple(point(stored, 500 + 4 * stored) for stored in (100, 80, 60, 40, 20))
    best, why = knee(points)
    assert best is points[4]
    assert why == "20 shared numbers give 58.00 % on validation data"


def test_one_point_is_its_own_knee():
    only = point(10, 900)
    assert knee((only,)) == (only, FLAT)


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=20))
def test_the_knee_is_never_beaten_by_a_smaller_point(values):
    points = tuple(point(stored, right) for stored, right in values)
    best, _ = knee(points)
    if best.accuracy < max(p.accuracy for p in points) - 0.001 or best.stored_numbers > min(
        p.stored_numbers for p in points
    ):
        assert not [p for p in points if p.stored_numbers < best.stored_numbers and p.accuracy >= best.accuracy]


def test_where_lower_is_better_the_choices_are_those_of_the_mirrored_scores():
    less = Classification(measure="error", parts=("errors",), better="lower", share=False)
    points = (point(100, 900), point(80, 898), point(60, 895), point(40, 896), point(20, 500))
    mirrored = tuple(replace(p, score=-p.score, accuracy=None) for p in points)
    for drop in (0.005, 0.0, 0.002, 1.0):
        assert within_drop(mirrored, -0.9, drop, less).parameters == within_drop(points, 0.9, drop).parameters
    for budget in (1000, 99, 50, 30):
        chosen = within_budget(mirrored, budget, less, in_bytes=False)
        assert chosen.parameters == within_budget(points, budget, in_bytes=False).parameters
    best, why = knee(mirrored, less)
    assert best is mirrored[points.index(knee(points)[0])]
    assert why == (
        "40 shared numbers give error -0.8960 on validation data; the next smaller fold, 20, gives error -0.5000"
    )
    said = "^`max_drop=0.1` cannot be met: the best point of the sweep is 0.4000 points under the soft network; "
    with pytest.raises(NothingToFold, match=said):
        within_drop(mirrored[4:], -0.9, 0.1, less)
