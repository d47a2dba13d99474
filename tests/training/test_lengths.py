"""How many epochs a training has, and had before it was lengthened."""

import pytest

from foldnet.errors import SettingError
from foldnet.training.runs import length_at, read_lengthened


def test_each_epoch_has_the_length_that_was_meant_when_it_was_trained():
    assert [length_at(epoch, 6, ()) for epoch in range(6)] == [6] * 6
    assert [length_at(epoch, 6, ((2, 3), (3, 4))) for epoch in range(6)] == [3, 3, 4, 6, 6, 6]
    assert [length_at(epoch, 6, ((0, 3),)) for epoch in range(6)] == [6] * 6  # nothing of the shorter one was trained


def test_pairs_are_read_as_they_are_written():
    assert read_lengthened([], 6) == ()
    assert read_lengthened([[2, 3], [2, 4]], 6) == ((2, 3), (2, 4))


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "ab",
        {"a": 1},
        [[1]],
        [[1, 2, 3]],
        [["1", 3]],
        [[True, 3]],
        [[1.0, 3]],
        [[-1, 3]],
        [[4, 3]],  # more than there were
        [[1, 0]],
        [[1, 6]],  # no longer than the training
        [[1, 10**9]],
        [[2, 3], [1, 4]],  # back
        [[1, 4], [2, 3]],  # shorter
    ],
)
def test_what_no_training_can_have_been_is_refused(value):
    with pytest.raises((ValueError, TypeError, SettingError)):
        read_lengthened(value, 6)
