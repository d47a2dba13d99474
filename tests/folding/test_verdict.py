"""What the dial says of a loop, from its scores alone."""

import pytest

from foldnet.data.tasks import BYTES, CLASSES
from foldnet.folding.verdict import LoopVerdict, further_trips, margin_of, verdict_table


def verdict(once, longer, finer, score=0.9, **more):
    turned = [tuple((trips, value) for trips, value in zip((5, 6), scores, strict=False)) for scores in (longer, finer)]
    return LoopVerdict("stage1.loop1", 3, score, once, *turned, **({"margin": 0.01} | more))


@pytest.mark.parametrize(
    ("once", "longer", "finer", "said"),
    [
        (0.5, (0.9, 0.2), (0.895, 0.9), "iteration: stable in finer steps"),
        (0.5, (0.9, 0.905), (0.3, 0.9), "iteration: comes to rest"),
        (0.5, (0.9, 0.895), (), "iteration: comes to rest"),
        (0.5, (0.9, 0.2), (0.88, 0.9), "habit"),
        (0.895, (0.9, 0.2), (0.9, 0.9), "iteration: stable in finer steps; once does as well"),
        (0.9, (0.9, 0.2), (0.2, 0.9), "habit; once does as well"),
    ],
)
def test_a_loop_is_an_iteration_where_its_score_holds(once, longer, finer, said):
    found = verdict(once, longer, finer)
    assert found.verdict == said
    assert found.longer_change == pytest.approx(max(abs(value - 0.9) for value in longer))
    assert found.finer_change == (pytest.approx(max(abs(value - 0.9) for value in finer)) if finer else None)
    assert found.once_loss == pytest.approx(0.9 - once)


@pytest.mark.parametrize(
    ("longer", "finer", "said"),
    [
        ((0.99, 1.0), (0.95, 0.97), "iteration: computes more in more trips"),
        ((0.99, 1.0), (), "iteration: computes more in more trips"),
        ((0.2, 0.1), (0.95, 0.97), "iteration: computes more in more trips"),  # in finer steps alone
        ((0.99, 0.8), (0.5, 0.5), "habit"),  # gains are lost again
        ((0.99, 0.895), (0.5, 0.5), "iteration: computes more in more trips"),  # within what may be lost
    ],
)
def test_a_loop_that_gains_is_no_habit(longer, finer, said):
    assert verdict(0.5, longer, finer).verdict == said


@pytest.mark.parametrize(
    ("once", "score", "longer", "finer", "said"),
    [
        (0.0, 0.0, (0.5, 1.0), (0.0, 0.0), "iteration: computes more in more trips"),
        (0.0, 0.0, (0.0, 0.0), (0.5, 1.0), "iteration: computes more in more trips"),
        (0.0, 0.001, (1.0, 1.0), (), "iteration: computes more in more trips"),
        (1.0, 0.9, (1.0, 1.0), (), "iteration: computes more in more trips; once does as well"),
        (0.9, 0.0, (0.0, 0.0), (), "iteration: comes to rest; once does as well"),
    ],
)
def test_what_a_loop_gains_counts_from_nothing_too(once, score, longer, finer, said):
    assert verdict(once, longer, finer, score=score).verdict == said


@pytest.mark.parametrize("hundredths", range(1, 100))
def test_a_change_of_a_point_is_no_more_than_a_point(hundredths):
    score, less, more = hundredths / 100, (hundredths - 1) / 100, (hundredths + 1) / 100
    assert verdict(score - 0.5, (less, less), (), score=score).verdict == "iteration: comes to rest"
    assert verdict(score - 0.5, (more, more), (), score=score).verdict == "iteration: comes to rest"
    assert verdict(less, (score, score), (), score=score).verdict == "iteration: comes to rest; once does as well"


def test_what_ends_in_no_number_is_not_stable():
    nan = float("nan")
    found = verdict(nan, (2.0, nan), (2.0, nan), score=2.0, margin=0.02, sign=-1)
    assert found.verdict == "habit"
    assert verdict_table([found], BYTES).__next__().rows[0][2:5] == ("+nan", "+nan", "+nan")


def test_of_bits_a_byte_a_gain_is_less():
    found = verdict(3.0, (1.5, 1.4), (2.5, 2.6), score=2.0, margin=margin_of(BYTES, 2.0), sign=-1)
    assert found.verdict == "iteration: computes more in more trips"


def test_a_score_of_nothing_is_no_evidence():
    assert verdict(0.0, (0.0, 0.0), (0.0, 0.0), score=0.0).verdict == "nothing to judge: the score is 0"


def test_where_less_is_better_once_loses_what_it_adds():
    found = verdict(3.0, (2.01, 2.0), (2.0, 2.0), score=2.0, margin=margin_of(BYTES, 2.0), sign=-1)
    assert (found.margin, found.once_loss, found.verdict) == (0.02, 1.0, "iteration: stable in finer steps")
    assert margin_of(CLASSES, 0.5) == 0.01


def test_trips_go_to_four_times_those_found():
    assert further_trips(1) == [2, 3, 4]
    assert further_trips(3) == [4, 6, 9, 12]
    assert further_trips(40) == [60, 80, 120, 160]


def test_the_table_has_a_row_a_loop():
    (table,) = verdict_table([verdict(0.5, (0.9, 0.2), ())], CLASSES)
    assert table.rows == (("stage1.loop1", 3, "-40.00", "-70.00", "", "habit"),)
    assert list(verdict_table([], CLASSES)) == []


def test_the_table_says_gains_with_their_sign_and_no_change_without_a_minus():
    (table,) = verdict_table([verdict(0.9, (0.99, 1.0), (0.95, 0.89))], CLASSES)
    assert table.rows[0][2:5] == ("+0.00", "+10.00", "+5.00")
