"""Datasets by name."""

from pathlib import Path

from foldnet.data.cifar import load_cifar
from foldnet.data.dataset import Dataset
from foldnet.data.digits import load_digits
from foldnet.data.folder import load_folder
from foldnet.errors import UnknownName, nearest

NAMES = ("digits", "cifar10", "cifar100", "folder")


def load_dataset(
    name: str, *, data_dir: Path | None = None, download: bool = False, image_size: int | None = None
) -> Dataset:
    """A dataset, whole and in memory. Raises UnknownName, and DataError where its files are not what they should be."""
    if name == "digits":
        return load_digits()
    if name in ("cifar10", "cifar100"):
        return load_cifar(name, data_dir, download)
    if name == "folder":
        return load_folder(data_dir, image_size)
    raise UnknownName(f"dataset '{name}' is not known; choose {', '.join(NAMES)}{nearest(name, NAMES)}")
