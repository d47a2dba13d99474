"""Sums of two numbers as bytes, drawn by a seed: "321+654=9750" says that 123 + 456 is 0579.

Each number begins with its lowest digit, so that a carry is known when it is needed (Lee et al.,
https://arxiv.org/abs/2307.03381), and is padded with zeros, the two to one length, their sum to one digit more, so that
an answer's length is known (Cho et al., https://arxiv.org/abs/2405.20671): it needs no byte that ends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldnet.data.augment import Augmentation
from foldnet.data.bits import OTHERS, BitLoader
from foldnet.data.dataset import Dataset, Images, Split, images_of, unscaled
from foldnet.data.stream import Stream, drawn_count
from foldnet.data.strings import Strings, check_memory, different_strings
from foldnet.data.tasks import SUMS, UNSCORED
from foldnet.errors import SettingError

BASE = 10
ZERO, PLUS, EQUALS = b"0+="
VALUES = 256  # of a byte


class SumLoader(BitLoader):
    """Batches of sums, which live on `device`. Shapes: x (b, length) int64, the bytes of a sum but its last; y
    (b, length) int64, the byte that follows each where it is one of the answer, else UNSCORED.

    Of a sum that is shorter than the longest x is 0 beyond its end.
    """

    def _walk(
        self, order: Tensor, start: int, epoch: int, augmentation: Augmentation | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an order (n,) on the CPU."""
        assert self.pixels is not None
        for rows in self._parts(order.to(self.device))[start:]:
            yield self.pixels[rows, 0].long(), self.labels[rows]


def split_sums(digits: int, examples: int, validation: float, test: int, seed: int) -> tuple[Dataset, Split]:
    """Sums of numbers of 1 to `digits` digits to train on, as many of each, and of just so many digits to choose and to
    test on; no sum of these stands in two of the parts. `validation` is what `drawn_count` takes.

    Where fewer sums exist than are to be trained on, all that are left are, again and again. Raises SettingError for
    what cannot be set aside, for more than exist to be scored on, and for what does not fit into memory.
    """
    held = drawn_count(validation, examples, "sum")
    scored, pairs = test + held, BASE ** (2 * digits)
    if scored >= pairs:
        raise SettingError(
            f"`test_examples={test}` and {held} sums to choose by are not fewer than the {pairs:,} of numbers of "
            f"{digits} digits, so that none is left to train on; ask for fewer, or for a greater `length`"
        )
    check_memory(BASE, 2 * digits, examples + scored, f"sums of {digits} digits")
    counts = [examples // digits + (digits - long < examples % digits) for long in range(1, digits + 1)]
    *shorter, last = (
        _draw(long, count, scored if long == digits else 0, Stream(seed, long, "train"))
        for long, count in enumerate(counts, 1)
    )
    ends = (0, *accumulate((test, held, counts[-1])))
    tested, chosen, longest = (last[start:end] for start, end in pairwise(ends))
    train, last_part = _images_of([*shorter, longest]), _images_of([tested])
    sha = hashlib.sha256(f"{digits}\n".encode())
    for part in (*shorter, longest, chosen):
        sha.update(np.ascontiguousarray(part).data)
    split = Split(train, _images_of([chosen]) if held else None, last_part, sha.hexdigest())
    return _dataset(train, last_part), split


def other_sums(digits: int, count: int, seed: int) -> Dataset:
    """Sums of numbers of so many digits to score on, all different, from numbers that no training draws from: of few
    digits, of which few sums exist, some are trained on nonetheless. Raises SettingError for more than there are, and
    for what does not fit into memory."""
    pairs = BASE ** (2 * digits)
    if count > pairs:
        raise SettingError(
            f"`count={count}` is more than the {pairs:,} sums of numbers of {digits} digits; ask for fewer, or for a "
            f"greater `length`"
        )
    check_memory(BASE, 2 * digits, count, f"sums of {digits} digits")
    images = _images_of([_draw(digits, count, 0, Stream(seed, OTHERS, "test"))])
    return _dataset(images, images)


def written(pairs: Strings) -> Strings:
    """Sums as bytes: (n, 2 * digits), the digits of the first number and of the second, lowest first -> (n, 3 * digits
    + 3)."""
    first, second = np.split(pairs, 2, axis=1)
    plus, equals = (np.full((len(pairs), 1), sign, np.uint8) for sign in (PLUS, EQUALS))
    return np.hstack([first + ZERO, plus, second + ZERO, equals, digits_of_sums(first, second) + ZERO])


def digits_of_sums(first: Strings, second: Strings) -> Strings:
    """The digits of sums, lowest first: two of (n, digits) -> (n, digits + 1)."""
    carry: NDArray[np.uint8] = np.zeros(len(first), np.uint8)
    found = []
    for one, other in zip(first.T, second.T, strict=True):
        total = one + other + carry
        found.append(total % BASE)
        carry = total // BASE
    return np.stack([*found, carry], 1)


def _draw(digits: int, trained: int, scored: int, stream: Stream) -> Strings:
    """Pairs of numbers: so many to score on, all different, then those to train on, which come again and again where
    fewer are left."""
    drawn = different_strings(BASE, 2 * digits, min(scored + trained, BASE ** (2 * digits)), stream)
    return np.concatenate([drawn[:scored], np.resize(drawn[scored:], (trained, 2 * digits))])


def _images_of(parts: Sequence[Strings]) -> Images:
    """Inputs (n, 1, length) and what is to follow each byte (n, length) of sums of numbers of several lengths."""
    length = max(part.shape[1] for part in parts) // 2 * 3 + 2
    inputs = np.zeros((sum(map(len, parts)), 1, length), np.uint8)
    targets = np.full((len(inputs), length), UNSCORED, np.int64)
    start = 0
    for part in parts:
        bytes_, digits, rows = written(part), part.shape[1] // 2, slice(start, start + len(part))
        end = bytes_.shape[1] - 1
        inputs[rows, 0, :end] = bytes_[:, :-1]
        targets[rows, end - digits - 1 : end] = bytes_[:, -digits - 1 :]
        start += len(part)
    return images_of(torch.from_numpy(inputs), torch.from_numpy(targets))


def _dataset(train: Images, test: Images) -> Dataset:
    """Bytes as they are; of each of an answer is asked which it is."""
    return unscaled(
        name="addition",
        classes=tuple(f"{value:02x}" for value in range(VALUES)),
        train=train,
        test=test,
        task=SUMS,
        loader=SumLoader,
    )
