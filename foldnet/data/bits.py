"""Strings of bits and the parity of each of their beginnings: the prefix sums of Schwarzschild et al.,
https://arxiv.org/abs/2106.04537, drawn by a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldnet.data.augment import Augmentation
from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, Images, Split, images_of, unscaled
from foldnet.data.stream import Stream, drawn_count
from foldnet.data.strings import Strings, check_memory, different_strings
from foldnet.data.tasks import BITS

OTHERS = 1 << 20  # stands for a phase: strings to score on are drawn from numbers that no training draws from


class BitLoader(Loader):
    """Batches of strings, which live on `device`. Shapes: x (b, 1, length) float32 of 0 and 1, y (b, length) bool."""

    def _hold(self, dataset: Dataset, images: Any) -> None:
        self.pixels, self.labels = images.pixels.to(self.device), images.labels.to(self.device)

    def _walk(
        self, order: Tensor, start: int, epoch: int, augmentation: Augmentation | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an order (n,) on the CPU."""
        assert self.pixels is not None
        for rows in self._parts(order.to(self.device))[start:]:
            yield self.pixels[rows].float(), self.labels[rows]


def split_bits(length: int, examples: int, validation: float, test: int, seed: int) -> tuple[Dataset, Split]:
    """Strings of `length` bits to train, to choose and to test on, no string in two of the parts; `validation` is what
    `drawn_count` takes.

    Where there are fewer strings than are asked for, the parts share them out and draw theirs again and again. Raises
    SettingError for what cannot be set aside or does not fit into memory.
    """
    aside = drawn_count(validation, examples, "string")
    tested, held, trained = draw_bits(length, (test, aside, examples), Stream(seed, 0, "train"))
    train, chosen, last = _images_of(trained), _images_of(held) if aside else None, _images_of(tested)
    sha = hashlib.sha256(f"{length}\n".encode())
    for part in (trained, held):
        sha.update(np.ascontiguousarray(part).data)
    return _dataset(train, last), Split(train, chosen, last, sha.hexdigest())


def other_bits(length: int, count: int, seed: int) -> Dataset:
    """Strings to score on that no training has drawn."""
    (drawn,) = draw_bits(length, (count,), Stream(seed, OTHERS, "test"))
    images = _images_of(drawn)
    return _dataset(images, images)


def draw_bits(length: int, counts: Sequence[int], stream: Stream) -> list[Strings]:
    """Sets of so many strings of `length` bits each, none of which stands in two sets; nor twice in one, where there
    are as many strings. Raises nothing for length 1, whose two strings two sets can share out."""
    total = sum(counts)
    check_memory(2, length, total, f"strings of {length} bits")
    strings = different_strings(2, length, min(total, 1 << length), stream)
    parts = (strings[start:end] for start, end in pairwise((0, *_shared_out(counts, 1 << length))))
    return [np.resize(part, (count, length)) for part, count in zip(parts, counts, strict=True)]


def parities(bits: Strings) -> NDArray[np.bool_]:
    """Whether the bits up to and with each have an odd sum: (n, length) -> (n, length)."""
    odd: NDArray[np.bool_] = np.bitwise_xor.accumulate(bits, axis=1) == 1
    return odd


def _shared_out(counts: Sequence[int], strings: int) -> list[int]:
    """Where each part of so many strings ends: as long as it is asked to be where there are as many, else in
    proportion, at least one string for each that is asked for any."""
    ends = list(accumulate(counts))
    if ends[-1] <= strings:
        return ends
    asked = sum(count > 0 for count in counts)
    spare = strings - asked
    sizes = [int(count > 0) + count * spare // ends[-1] for count in counts]
    return list(accumulate(sizes))


def _images_of(bits: Strings) -> Images:
    """Inputs (n, 1, length) and what each place is to say (n, length)."""
    return images_of(torch.from_numpy(bits[:, None]), torch.from_numpy(parities(bits)))


def _dataset(train: Images, test: Images) -> Dataset:
    """Bits as they are; of every place is asked whether the sum up to it is odd."""
    return unscaled(
        name="prefix-sums",
        classes=("odd",),
        train=train,
        test=test,
        task=BITS,
        loader=BitLoader,
    )
