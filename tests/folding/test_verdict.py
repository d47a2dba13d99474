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
    assert table.rows == (("stage1.loop1", 3, "-40.00", "70.00", "", "habit"),)
    assert list(verdict_table([], CLASSES)) == []
