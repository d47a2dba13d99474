"""How many epochs a training has: a whole number, and for one that was lengthened also what it was meant to have
before."""

from itertools import pairwise
from typing import Any

from foldnet.bounds import check_number

Lengthened = tuple[tuple[int, int], ...]  # ((17, 30),): the first 17 epochs are those of a training of 30


def length_at(epoch: int, epochs: int, lengthened: Lengthened) -> int:
    """How long the training was meant to be when epoch 0, 1, ... was trained: the schedule is that of so many
    epochs."""
    return next((length for until, length in lengthened if epoch < until), epochs)


def read_lengthened(value: Any, epochs: int) -> Lengthened:
    """From the pairs in a config.json. Raises ValueError, TypeError and SettingError for what no training of `epochs`
    can have been."""
    pairs = tuple((until, length) for until, length in value)
    for until, length in pairs:
        check_number("epochs", length, field="'lengthened'")
        if type(until) is not int or not 0 <= until <= length:
            raise ValueError(f"'lengthened' has {until!r} of {length} epochs")
    for before, after in pairwise((*pairs, (epochs, epochs))):
        if before[0] > after[0] or before[1] >= after[1]:
            raise ValueError(f"'lengthened' has {list(before)} before {list(after)}")
    return pairs
