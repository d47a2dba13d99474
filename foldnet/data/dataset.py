"""A dataset's images, and their split into training and validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldnet.data.augment import Augmentation
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import SettingError
from foldnet.zoo.scaling import Scaling

if TYPE_CHECKING:
    from foldnet.data.pictures import Pictures
    from foldnet.data.windows import Windows


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images in memory: `pixels` (n, c, h, w) uint8, `labels` (n,) int64, and `ids` (n,) int64: what an image's
    augmentation depends on.

    Where a task's answer is a map, `labels` (n, h, w) bool are what it should be.
    """

    pixels: Tensor
    labels: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Images:
        """Some of the images, with the ids that they have here."""
        return Images(self.pixels[rows], self.labels[rows], self.ids[rows])

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, c, h, w)."""
        return tuple(self.pixels.shape)

    def read(self, rows: Sequence[int]) -> Tensor:
        """The pixels of some images, (len(rows), c, h, w)."""
        return self.pixels[torch.as_tensor(rows, dtype=torch.int64)]


Examples: TypeAlias = "Images | Pictures | Windows"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A dataset. Inputs to a network are (pixels / scale - mean) / std, a mean and a std for each channel.

    `digest` says in a word what the training images are, where their pixels are not in memory or are not all: the
    classes of a user's pictures have names of the user's. `lengths` gives, of grids, the steps of a shortest path in
    each, (n,). `loader` makes batches of what are no images, as Loader does of these.
    """

    name: str
    classes: tuple[str, ...]
    train: Examples
    test: Examples
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    augmentation: Augmentation
    task: Task = CLASSES
    digest: str | None = None
    lengths: Callable[[Examples], NDArray[np.int32]] | None = None
    loader: Callable[..., Any] | None = None

    @property
    def channels(self) -> int:
        """Channels of an image; 1 of text."""
        return self.train.shape[1]

    @property
    def size(self) -> int:
        """Height of an image in pixels, length of a window of text in bytes."""
        return self.train.shape[2]

    @property
    def scaling(self) -> Scaling:
        """What whoever runs a network without foldnet has to know of its inputs and outputs."""
        return Scaling(self.scale, self.mean, self.std, self.classes if self.task is CLASSES else ())


def unscaled(*, name: str, classes: tuple[str, ...], train: Examples, test: Examples, **told: Any) -> Dataset:
    """A dataset whose inputs, bits or bytes or maps, are taken as they are; `told` are other fields of Dataset."""
    channels = train.shape[1]
    scaling: dict[str, Any] = {"mean": (0.0,) * channels, "std": (1.0,) * channels, "scale": 1.0}
    return Dataset(name, classes, train, test, **scaling, augmentation=Augmentation(), **told)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Training, validation (None: there is none) and test images. `hash` tells this split of these training data from
    others.

    Of a curriculum this is the last phase, `phases` are all of them and `hash` is over all.
    """

    train: Examples
    validation: Examples | None
    test: Examples
    hash: str
    phases: tuple[Split, ...] = ()


def images_of(pixels: Tensor, labels: Tensor) -> Images:
    """Number some images in their order."""
    return Images(pixels, labels, torch.arange(len(labels)))


def split_validation(dataset: Dataset, validation: float, seed: int) -> Split:
    """Set validation images aside: a share below 1 or a number of images, stratified by class, drawn by seed.

    0 keeps every image for training. Raises SettingError where that many can't be set aside, or where a class would
    lose its last training image. The hash is over what is trained and chosen on; the test images are not in it.
    """
    if TYPE_CHECKING:
        assert not isinstance(dataset.train, Windows)  # which have no classes to be stratified by
    total = len(dataset.train)
    count = _validation_count(validation, total, len(dataset.classes))
    if count == 0:
        return Split(dataset.train, None, dataset.test, _hash(dataset, np.array([], dtype=np.int64)))
    labels = dataset.train.labels.numpy()
    if min(Counter(labels.tolist()).values()) < 2:
        raise SettingError(
            f"`validation={validation:.12g}` needs two training images in every class and one has only one; give 0"
        )
    from sklearn.model_selection import train_test_split

    kept, held = train_test_split(np.arange(total), test_size=count, random_state=seed % 2**32, stratify=labels)
    if len(np.unique(labels[kept])) < len(np.unique(labels)):
        raise SettingError(f"`validation={validation:.12g}` leaves a class without training images; give less")
    train, aside = (dataset.train.take(torch.from_numpy(rows)) for rows in (kept, held))
    return Split(train, aside, dataset.test, _hash(dataset, held))


def _validation_count(validation: float, total: int, classes: int) -> int:
    """How many images are set aside."""
    count = round(validation * total) if validation < 1 else int(validation)
    if validation >= 1 and count != validation:
        raise SettingError(f"`validation={validation:.12g}` is neither a share below 1 nor a whole number of images")
    if validation > 0 and not classes <= count <= total - classes:
        raise SettingError(
            f"`validation={validation:.12g}` would set {count} of {total} images aside; "
            f"both parts need one of each of {classes} classes, so give 0 or from {classes} to {total - classes}"
        )
    return count


def _hash(dataset: Dataset, held: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    """SHA-256 over the training images, their labels, and which are set aside."""
    train = dataset.train
    if TYPE_CHECKING:
        assert not isinstance(train, Windows)
    sha = hashlib.sha256()
    sha.update(str(train.shape).encode())
    if dataset.digest is not None:
        sha.update(dataset.digest.encode())
    else:
        assert isinstance(train, Images), "pictures outside memory need a digest"
        sha.update(train.pixels.contiguous().numpy().data)
    for part in (train.labels.numpy(), np.sort(held)):
        sha.update(np.ascontiguousarray(part).data)
    return sha.hexdigest()
