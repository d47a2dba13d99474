"""Random crops, flips and cutout for whole batches on the device.

Each image's draw depends on (seed, epoch, image) alone, through a counter-based integer hash: no random state, the same
on every device, whatever batch the image stands in.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_PURPOSES = ("crop row", "crop column", "flip", "cutout row", "cutout column")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Crop after padding with `padding` black pixels, mirror half of the images, cut out a square hole of side
    `cutout`."""

    padding: int = 0
    flip: bool = False
    cutout: int = 0


@dataclass(frozen=True, slots=True)
class Draws:
    """What happens to each of b images: crop offsets (b, 2), flips (b,) bool, centres of the hole (b, 2), as (row,
    column)."""

    offsets: Tensor
    flips: Tensor
    centres: Tensor


def draws(image_ids: Tensor, seed: int, epoch: int, *, size: tuple[int, int], augmentation: Augmentation) -> Draws:
    """What happens in an epoch to some images: image_ids (b,) int64 on any device, size (h, w) of the images."""
    words = _words(image_ids, seed, epoch)
    span = 2 * augmentation.padding + 1
    return Draws(
        offsets=torch.stack([words[0] % span, words[1] % span], 1),
        flips=(words[2] % 2).bool() if augmentation.flip else torch.zeros_like(words[2], dtype=torch.bool),
        centres=torch.stack([words[3] % size[0], words[4] % size[1]], 1),
    )


def shifts(ids: Tensor, seed: int, epoch: int, span: int) -> Tensor:
    """How far each of b windows is moved in an epoch, 0 to span - 1: ids (b,) int64 on any device -> (b,)."""
    return _words(ids, seed, epoch)[0] % span


def crop_and_flip(pixels: Tensor, offsets: Tensor, flips: Tensor, padding: int) -> Tensor:
    """Pad with zeros, crop to the old size at each image's offset, then mirror where it is drawn.

    Shapes: pixels (b, c, h, w) of any type, offsets (b, 2) from 0 to 2 * padding, flips (b,) bool -> (b, c, h, w).
    """
    count, _, height, width = pixels.shape
    rows = torch.arange(height, device=pixels.device) + offsets[:, :1]
    columns = torch.arange(width, device=pixels.device).expand(count, -1)
    columns = torch.where(flips[:, None], width - 1 - columns, columns) + offsets[:, 1:]
    padded = torch.nn.functional.pad(pixels, (padding,) * 4)
    images = torch.arange(count, device=pixels.device)[:, None, None]
    # Advanced indices around a slice put the channels last: the copy that channels-last batches want anyway.
    return padded[images, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def cut_out(x: Tensor, centres: Tensor, size: int) -> Tensor:
    """A square hole of zeros, `size` pixels wide, around a point of each image and clipped at the borders.

    Shapes: x (b, c, h, w), centres (b, 2) as (row, column) -> (b, c, h, w).
    Source: DeVries & Taylor, https://arxiv.org/abs/1708.04552; as there, it comes after normalisation.
    """
    height, width = x.shape[2:]
    top, left = (centres - size // 2).unbind(1)
    rows = torch.arange(height, device=x.device)
    columns = torch.arange(width, device=x.device)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + size)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + size)
    holes = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    # Not masked_fill: with a mask that broadcasts it gives up the channels-last layout.
    return x * ~holes


def _words(image_ids: Tensor, seed: int, epoch: int) -> Tensor:
    """Uniform integers of 31 bits, a row for each purpose: splitmix64 over seed, then epoch, then (image, purpose).

    The key is mixed on the CPU, so that a batch costs a dozen kernels and no wait. (b,) -> (purposes, b).
    """
    key = int(_mix(_mix(torch.tensor(_signed(seed))) + _signed(epoch)))
    purposes = torch.arange(len(_PURPOSES), device=image_ids.device)
    return _shift_right(_mix(image_ids * len(_PURPOSES) + key + purposes[:, None]), 33)


def _mix(z: Tensor) -> Tensor:
    """The splitmix64 generator's step (Steele, Lea & Flood 2014); int64 arithmetic wraps around as it should."""
    z = z + _signed(0x9E3779B97F4A7C15)
    z = (z ^ _shift_right(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shift_right(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shift_right(z, 31)


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """A logical shift: int64's own would carry the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
