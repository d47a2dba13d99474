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
from foldnet.data.dataset import Dataset, Images, Split, images_of
from foldnet.data.stream import Stream
from foldnet.data.tasks import BITS
from foldnet.errors import SettingError
from foldnet.hardware import memory_bytes

Bits = NDArray[np.uint8]  # (n, length) of 0 and 1
SPARSE = 4  # where 2**4 times as many strings exist as are drawn, few are drawn twice; else all are listed
STRING_BYTES = 16  # of a bit while strings are drawn
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


def split_bits(length: int, examples: int, validation: int, test: int, seed: int) -> tuple[Dataset, Split]:
    """Strings of `length` bits to train, to choose and to test on, no string in two of the parts.

    Where there are fewer strings than are asked for, the parts share them out and draw theirs again and again.
    """
    tested, held, trained = draw_bits(length, (test, validation, examples), Stream(seed, 0, "train"))
    train, aside, last = _images_of(trained), _images_of(held) if validation else None, _images_of(tested)
    sha = hashlib.sha256(f"{length}\n".encode())
    for part in (trained, held):
        sha.update(np.ascontiguousarray(part).data)
    return _dataset(train, last), Split(train, aside, last, sha.hexdigest())


def other_bits(length: int, count: int, seed: int) -> Dataset:
    """Strings to score on that no training has drawn."""
    (drawn,) = draw_bits(length, (count,), Stream(seed, OTHERS, "test"))
    images = _images_of(drawn)
    return _dataset(images, images)


def draw_bits(length: int, counts: Sequence[int], stream: Stream) -> list[Bits]:
    """Sets of so many strings of `length` bits each, none of which stands in two sets; nor twice in one, where there
    are as many strings. Raises nothing for length 1, whose two strings two sets can share out."""
    total = sum(counts)
    _check_memory(length, total)
    if total << SPARSE <= 1 << length:
        strings = _different(length, total, stream)
        return [strings[start:end] for start, end in pairwise(accumulate((0, *counts)))]
    order = np.argsort(stream.uniform(1 << length), kind="stable")
    ends = _shared_out(counts, len(order))
    parts = (order[start:end] for start, end in pairwise((0, *ends)))
    chosen = (np.resize(part, count) for part, count in zip(parts, counts, strict=True))
    return [(rows[:, None] >> np.arange(length) & 1).astype(np.uint8) for rows in chosen]


def parities(bits: Bits) -> NDArray[np.bool_]:
    """Whether the bits up to and with each have an odd sum: (n, length) -> (n, length)."""
    odd: NDArray[np.bool_] = np.bitwise_xor.accumulate(bits, axis=1) == 1
    return odd


def _different(length: int, count: int, stream: Stream) -> Bits:
    """The first `count` strings of a stream, those left out that came before."""
    drawn: Bits = np.zeros((0, length), np.uint8)
    while len(drawn) < count:
        more = stream.uniform(count - len(drawn), length) < 0.5
        drawn = np.concatenate([drawn, more.astype(np.uint8)])
        _, first = np.unique(np.packbits(drawn, axis=1), axis=0, return_index=True)
        drawn = drawn[np.sort(first)]
    return drawn


def _check_memory(length: int, count: int) -> None:
    """Raise SettingError where the strings, or a list of all there are, do not fit into memory."""
    _, free = memory_bytes()
    needed = max(count, min(1 << length, count << SPARSE) // length) * length * STRING_BYTES
    if free is not None and needed > free:
        raise SettingError(
            f"{count:,} strings of {length} bits take {needed / 2**30:,.1f} GiB and this machine has "
            f"{free / 2**30:,.1f} GiB free; ask for fewer, or for shorter ones"
        )


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


def _images_of(bits: Bits) -> Images:
    """Inputs (n, 1, length) and what each place is to say (n, length)."""
    return images_of(torch.from_numpy(bits[:, None]), torch.from_numpy(parities(bits)))


def _dataset(train: Images, test: Images) -> Dataset:
    """Bits as they are; of every place is asked whether the sum up to it is odd."""
    return Dataset(
        name="prefix-sums",
        classes=("odd",),
        train=train,
        test=test,
        mean=(0.0,),
        std=(1.0,),
        scale=1.0,
        augmentation=Augmentation(),
        task=BITS,
        loader=BitLoader,
    )
