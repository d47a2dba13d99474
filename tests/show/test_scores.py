"""How scores, shares and sizes are written."""

import pytest

from foldnet.show.report import counted, gibibytes, megabytes, scored, share_of_draws, times


@pytest.mark.parametrize(
    ("value", "measure", "right", "said"),
    [
        (0.975, "accuracy", None, "97.50 % (351 of 360)"),
        (0.975, "accuracy", 351, "97.50 % (351 of 360)"),
        (0.5, "F1", 12, "F1 0.5000 (12 of 360 wholly right)"),
        (0.5, "F1", None, "F1 0.5000 (of 360)"),
    ],
)
def test_a_score_has_the_count_behind_it(value, measure, right, said):
    assert counted(value, 360, measure, right) == said


def test_what_was_not_measured_is_a_dash():
    assert (scored(None, "accuracy"), scored(1.0, "accuracy"), scored(0.25, "F1")) == ("-", "100.00 %", "F1 0.2500")


def test_shares_sizes_and_shapes():
    assert [share_of_draws(share) for share in (0.0, 0.0004, 0.0005, 0.0362, 1.0)] == [
        "< 0.1 %", "< 0.1 %", "0.1 %", "3.6 %", "100.0 %",
    ]  # fmt: skip
    assert (megabytes(1_250_000), gibibytes(3 * 2**29), gibibytes(None)) == ("1.2 MB", "1.5 GiB", "unknown")
    assert (times((16, 16, 3, 3)), times(())) == ("16x16x3x3", "")
