"""Pictures that stay in their files and are decoded when they are needed."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldnet.errors import DataError
from foldnet.store.codec import open_plain

MOST_PIXELS = 64 << 20  # of one picture: decoded and resized it takes about ten bytes a pixel
# Pillow knows others, some of which start programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Images that would not fit in memory: `files` (n,) paths as bytes, which become squares of `size` pixels, `labels`
    (n,) int64, and `ids` (n,) int64: what an image's augmentation depends on.
    """

    files: NDArray[np.bytes_]  # an array: worker processes share its memory, a list they would copy
    labels: Tensor
    ids: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, c, h, w) of all the pictures decoded."""
        return len(self), 3, self.size, self.size

    def take(self, rows: Tensor) -> Pictures:
        """Some of the pictures, with the ids that they have here."""
        return Pictures(self.files[rows.numpy()], self.labels[rows], self.ids[rows], self.size)

    def read(self, rows: Sequence[int]) -> Tensor:
        """Decode some pictures: (len(rows), 3, size, size) uint8. Raises DataError where one can't be decoded."""
        pixels = torch.empty(len(rows), *self.shape[1:], dtype=torch.uint8)
        for place, row in enumerate(rows):
            pixels[place] = decode(os.fsdecode(self.files[row]), self.size)
        return pixels


def pictures_of(samples: Sequence[tuple[str, int]], size: int) -> Pictures:
    """Number (path, label) pairs in their order."""
    files = np.array([os.fsencode(path) for path, _ in samples])
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    return Pictures(files, labels, torch.arange(len(labels)), size)


def decode(path: str, size: int) -> Tensor:
    """One picture, resized to a square: (3, size, size) uint8. Raises DataError, naming the file."""
    try:
        found: Tensor = _resize(size)(open_picture(path))
    except Exception as error:  # Pillow's decoders raise what they like, from struct.error to SyntaxError
        reason = str(error).split("\n")[0]
        raise DataError(f"'{path}' can't be read as a picture ({reason}); mend or remove it") from None
    return found


def open_picture(path: str) -> Any:
    """One picture in three channels of 8 bits. Raises what Pillow raises, and ValueError where it has more bits, too
    many pixels, or is no plain file.
    """
    from PIL import Image

    with ExitStack() as opened:
        file = opened.enter_context(open_plain(Path(path), links=True))
        with warnings.catch_warnings():  # a picture that is too large is refused below, in foldnet's words
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = opened.enter_context(Image.open(file, formats=FORMATS))
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"it has {picture.width:,}x{picture.height:,} pixels and {MOST_PIXELS:,} are the most")
        if picture.mode.startswith(("I", "F")):  # Pillow would clip them to white
            raise ValueError("it has more than 8 bits a channel")
        if picture.mode == "P" and "transparency" in picture.info:  # Pillow warns of the direct way
            return picture.convert("RGBA").convert("RGB")
        return picture.convert("RGB")


@functools.cache
def _resize(size: int) -> Callable[[Any], Any]:
    """From a Pillow picture to a square of bytes."""
    from torchvision.transforms import v2

    steps = [v2.ToImage(), v2.RGB(), v2.Resize((size, size), antialias=True), v2.ToDtype(torch.uint8, scale=True)]
    resize: Callable[[Any], Any] = v2.Compose(steps)
    return resize
