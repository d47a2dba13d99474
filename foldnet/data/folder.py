"""A user's own pictures: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldnet.data.augment import Augmentation
from foldnet.data.batches import MOST_WORKERS, in_workers
from foldnet.data.dataset import Dataset, Examples, Images
from foldnet.data.pictures import Pictures, pictures_of
from foldnet.errors import DataError
from foldnet.hardware import cores, memory_bytes

CROP_SHARE = 8  # pad by an eighth of the side, as CIFAR's 4 of 32
COPIES = 3  # of the decoded pictures: the dataset's, the split's and the loader's
SHARE = 0.5  # of the free memory that they may take
UNKNOWN_MEMORY = 4 << 30  # where the system does not say what is free
BLOCK, BLOCK_BYTES = 64, 16 << 20  # pictures, and bytes, that are decoded at a time
FEW = 512  # so many pictures are decoded sooner than worker processes start


def load_folder(data_dir: Path | None, size: int, beside: int = 1) -> Dataset:
    """Pictures resized to squares, three channels; mean and standard deviation are those of the training pictures.

    Every picture is decoded once, so that what can't be is said before the training. They stay in memory where they
    fit; else they are Pictures, decoded again whenever they are needed. The dataset is the same, to the bit. Of memory
    and cores they take what is due to one of the `beside` processes that do the same on this machine.

    Raises DataError where folders are missing or empty, classes differ, or a file can't be decoded.
    """
    if data_dir is None:
        raise DataError("`dataset='folder'` needs `data_dir`, a folder that holds train/CLASS and test/CLASS")
    listed = [_listed(data_dir / part) for part in ("train", "test")]
    if listed[0].classes != listed[1].classes:
        odd = sorted(set(listed[0].classes) ^ set(listed[1].classes))[0]
        raise DataError(
            f"'{data_dir}' has class '{odd}' in only one of train and test; give both the same class folders"
        )
    classes = tuple(listed[0].classes)
    train, test = (pictures_of(part.samples, size) for part in listed)
    keep = (len(train) + len(test)) * 3 * size * size <= _room(beside)
    summary = Summary(classes)
    workers = max(1, min(MOST_WORKERS, cores() // beside))
    images = _decoded(train, keep, workers, summary.see)
    mean, std = summary.statistics()
    return Dataset(
        name="folder",
        classes=classes,
        train=images,
        test=_decoded(test, keep, workers),
        mean=mean,
        std=std,
        scale=255.0,
        augmentation=Augmentation(padding=size // CROP_SHARE, flip=True),
        digest=summary.sha.hexdigest(),
    )


class Summary:
    """What is known of pictures after each was seen once, block by block: a digest, and a histogram a channel."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        """The names of the classes are in the digest: a class that is renamed may change its place."""
        self.sha = hashlib.sha256(json.dumps(classes).encode())
        self.histogram = torch.zeros(3, 256, dtype=torch.int64)

    def see(self, pixels: Tensor) -> None:
        """Some more pictures, (b, 3, h, w) uint8, in order."""
        self.sha.update(pixels.numpy().data)
        for channel, counts in zip(pixels.unbind(1), self.histogram, strict=True):
            counts += torch.bincount(channel.flatten(), minlength=256)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, in 0..1."""
        values = torch.arange(256, dtype=torch.float64) / 255
        shares = self.histogram.double() / self.histogram.sum(1, keepdim=True)
        means = shares @ values
        variances = (shares * (values - means[:, None]) ** 2).sum(1)
        return tuple(means.tolist()), tuple(max(value**0.5, 1 / 255) for value in variances.tolist())


def _listed(folder: Path) -> Any:
    """torchvision's ImageFolder. Raises DataError where there is nothing to list."""
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(folder))
    except OSError as error:  # torchvision's own carry no strerror and end in a list of file endings
        reason = error.strerror or str(error).split(". Supported")[0].rstrip(".")
        raise DataError(
            f"'{folder}' is no folder of class folders ({reason}); put pictures into {folder}/CLASS/"
        ) from None


def _decoded(
    pictures: Pictures, keep: bool, workers: int, see: Callable[[Tensor], None] = lambda pixels: None
) -> Examples:
    """Decode every picture, by worker processes where there are many, and keep the pixels or not; `see` is shown each
    block."""
    kept = torch.empty(pictures.shape if keep else 0, dtype=torch.uint8)
    block = max(1, min(BLOCK, BLOCK_BYTES // (3 * pictures.size**2)))
    blocks = torch.split(torch.arange(len(pictures)), block)
    workers = workers if len(pictures) > FEW else 0
    for rows, pixels in zip(blocks, in_workers(pictures.read, blocks, workers=workers), strict=True):
        see(pixels)
        if keep:
            kept[rows[0] : rows[0] + len(rows)] = pixels
    return Images(kept, pictures.labels, pictures.ids) if keep else pictures


def _room(processes: int) -> int:
    """How many bytes decoded pictures may have in one of the processes that share this machine's memory."""
    total, free = memory_bytes()
    known = free if free is not None else total // 2 if total is not None else UNKNOWN_MEMORY
    return int(known * SHARE / COPIES / processes)
