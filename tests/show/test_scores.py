"""How scores, shares and sizes are written."""

import pytest

from foldnet.data.tasks import CELLS, CLASSES
from foldnet.show.report import gibibytes, megabytes, share_of_draws, times


@pytest.mark.parametrize(
    ("value", "task", "right", "said"),
    [
        (0.975, CLASSES, None, "97.50 % (351 of 360)"),
        (0.975, CLASSES, 351, "97.50 % (351 of 360)"),
        (0.5, CELLS, 12, "F1 0.5000 (12 of 360 wholly right)"),
        (0.5, CELLS, None, "F1 0.5000 (of 360)"),
    ],
)
def test_a_score_has_the_count_behind_it(value, task, right, said):
    assert task.counted(value, 360, right) == said


def test_what_was_not_measured_is_a_dash():
    assert (CLASSES.written(None), CLASSES.written(1.0), CELLS.written(0.25)) == ("-", "100.00 %", "F1 0.2500")


def test_shares_sizes_and_shapes():
    assert [share_of_draws(share) for share in (0.0, 0.0004, 0.0005, 0.0362, 1.0)] == [
        "< 0.1 %", "< 0.1 %", "0.1 %", "3.6 %", "100.0 %",
    ]  # fmt: skip
    assert (megabytes(1_250_000), gibibytes(3 * 2**29), gibibytes(None)) == ("1.2 MB", "1.5 GiB", "unknown")
    assert (times((16, 16, 3, 3)), times(())) == ("16x16x3x3", "")
