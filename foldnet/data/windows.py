"""Windows of a text: where each begins, and the bytes in it with those that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from foldnet.data.tasks import UNSCORED


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Some windows of `length` bytes of a `text` (N,) uint8: window i of `ids` (n,) int64 begins at byte i * length."""

    text: Tensor
    length: int
    ids: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, 1, length), as of images of one channel."""
        return len(self), 1, self.length

    def take(self, rows: Tensor) -> Windows:
        """Some of the windows."""
        return replace(self, ids=self.ids[rows])


def windows_of(text: Tensor, length: int, *, whole: bool) -> Windows:
    """All windows of a text (N,) uint8 that are `whole`, or such that each of its N - 1 steps from a byte to the next
    stands in one: the last may be short."""
    steps = len(text) - 1
    return Windows(text, length, torch.arange(steps // length if whole else -(-steps // length)))


def read_windows(text: Tensor, starts: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The bytes x (b, length) int64 from each of the starts (b,), and those that follow y (b, length) int64.

    Beyond the end of the text (N,) uint8 x is 0 and y is UNSCORED.
    """
    places = starts[:, None] + torch.arange(length, device=starts.device)
    there = places < len(text) - 1
    places = places * there
    x, y = text[places].long(), text[places + 1].long()
    return x * there, y.masked_fill(~there, UNSCORED)
