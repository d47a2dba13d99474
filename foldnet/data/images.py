"""The digits inside scikit-learn: 1,797 real scans of 8x8 pixels in 17 shades, no download."""

import tarfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from foldnet.data.augment import Augmentation
from foldnet.data.dataset import Dataset, Images, images_of
from foldnet.errors import DataError

TEST_IMAGES = 360
SPLIT_SEED = 0  # the test set is the same for every run


def load_digits() -> Dataset:
    """1,437 training and 360 test images (1, 8, 8), stratified by class. Pixels run from 0 to 16."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    bunch = load()
    pixels, labels = bunch.images.astype("uint8")[:, None], bunch.target.astype("int64")
    options = {"test_size": TEST_IMAGES, "random_state": SPLIT_SEED, "stratify": labels}
    train, test, train_labels, test_labels = map(torch.from_numpy, train_test_split(pixels, labels, **options))
    return Dataset(
        name="digits",
        classes=tuple(str(name) for name in bunch.target_names),
        train=images_of(train, train_labels),
        test=images_of(test, test_labels),
        mean=(0.305,),
        std=(0.376,),
        scale=16.0,
        augmentation=Augmentation(padding=1),
    )


# Mean and standard deviation of a channel, 0..255, as the paper's own code has them.
STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}
DEFAULT_DIR = Path("data")
# What a missing file, a dropped connection, a full disk and a broken archive raise inside torchvision.
FAULTS = (RuntimeError, OSError, EOFError, KeyError, ValueError, HTTPException, tarfile.TarError, zlib.error)


def load_cifar(name: str, data_dir: Path | None, download: bool) -> Dataset:
    """50,000 training and 10,000 test images (3, 32, 32). Raises DataError where the files are missing or damaged."""
    root = data_dir if data_dir is not None else DEFAULT_DIR
    train, test = (_read(name, root, part, download) for part in (True, False))
    mean, std = STATISTICS[name]
    return Dataset(
        name=name,
        classes=tuple(train.classes),
        train=_images(train),
        test=_images(test),
        mean=tuple(value / 255 for value in mean),
        std=tuple(value / 255 for value in std),
        scale=255.0,
        augmentation=Augmentation(padding=4, flip=True),
    )


def _read(name: str, root: Path, train: bool, download: bool) -> Any:
    """torchvision's dataset, whose every file was checked against its md5 before anything was unpickled."""
    from torchvision.datasets import CIFAR10, CIFAR100

    reader = CIFAR10 if name == "cifar10" else CIFAR100
    try:
        return reader(root=root, train=train, download=download)
    except FAULTS as error:
        detail, mend = "", "fetch it with `download=True`, or say where with `data_dir`"
        if download:
            reason = str(error).strip().split("\n")[0].rstrip(".")
            detail = f" ({reason})"
            mend = "check the network and the free space, or say where it lies with `data_dir`"
        raise DataError(f"{name} is missing or damaged in '{root}'{detail}; {mend}") from None


def _images(part: Any) -> Images:
    """(n, h, w, c) bytes as (n, c, h, w)."""
    pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return images_of(pixels, torch.tensor(part.targets, dtype=torch.int64))
