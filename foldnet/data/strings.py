"""Strings of digits of any base, drawn by a seed so that none comes twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foldnet.data.stream import Stream
from foldnet.errors import SettingError
from foldnet.hardware import memory_bytes

Strings = NDArray[np.uint8]  # (n, length) of digits
SPARSE = 4  # where 2**4 times as many strings exist as are drawn, few are drawn twice; else all are listed
STRING_BYTES = 32  # of a digit while strings are drawn


def different_strings(base: int, length: int, count: int, stream: Stream) -> Strings:
    """The first `count` different strings of a stream, (count, length), of digits from 0 to below `base`. There must be
    so many."""
    if count << SPARSE > base**length:
        order = np.argsort(stream.uniform(base**length), kind="stable")[:count]
        return (order[:, None] // base ** np.arange(length) % base).astype(np.uint8)
    drawn: Strings = np.zeros((0, length), np.uint8)
    while len(drawn) < count:
        more = base - 1 - stream.below(base, count - len(drawn), length)
        drawn = np.concatenate([drawn, more.astype(np.uint8)])
        _, first = np.unique(drawn, axis=0, return_index=True)
        drawn = drawn[np.sort(first)]
    return drawn


def check_memory(base: int, length: int, count: int, called: str) -> None:
    """Raise SettingError where so many strings, each `called` so, or a list of all there are, do not fit into
    memory."""
    _, free = memory_bytes()
    needed = max(count, min(base**length, count << SPARSE) // length) * length * STRING_BYTES
    if free is not None and needed > free:
        raise SettingError(
            f"{count:,} {called} take {needed / 2**30:,.1f} GiB and this machine has "
            f"{free / 2**30:,.1f} GiB free; ask for fewer, or for shorter ones"
        )
