"""Datasets by name."""

from collections.abc import Callable
from pathlib import Path

from foldnet.data.cifar import load_cifar
from foldnet.data.dataset import Dataset
from foldnet.data.digits import load_digits
from foldnet.data.folder import load_folder
from foldnet.errors import SettingError, UnknownName, nearest

# Each takes (data_dir, download, image_size, beside) and leaves what it has no use for.
LOADERS: dict[str, Callable[[Path | None, bool, int | None, int], Dataset]] = {
    "digits": lambda data_dir, download, image_size, beside: load_digits(),
    "cifar10": lambda data_dir, download, image_size, beside: load_cifar("cifar10", data_dir, download),
    "cifar100": lambda data_dir, download, image_size, beside: load_cifar("cifar100", data_dir, download),
    "folder": lambda data_dir, download, image_size, beside: load_folder(data_dir, image_size, beside),
}
NAMES = tuple(LOADERS)


def load_dataset(
    name: str,
    *,
    data_dir: Path | None = None,
    download: bool = False,
    image_size: int | None = None,
    beside: int = 1,
) -> Dataset:
    """A dataset, for one of the `beside` processes that load it on this machine.

    Raises UnknownName, DataError where its files are not what they should be, and SettingError where `image_size` is given
    for a dataset whose pictures have a size of their own.
    """
    if name not in LOADERS:
        raise UnknownName(f"dataset '{name}' is not known; choose {', '.join(NAMES)}{nearest(name, NAMES)}")
    if image_size is not None and name != "folder":
        raise SettingError(
            f"`image_size={image_size}` has no meaning for {name}; leave it out or use `dataset='folder'`"
        )
    return LOADERS[name](data_dir, download, image_size, beside)
