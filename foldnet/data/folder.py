"""A user's own pictures: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png, decoded once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from foldnet.data.augment import Augmentation
from foldnet.data.dataset import Dataset, Images, images_of
from foldnet.errors import DataError, SettingError

DEFAULT_SIZE = 32
SMALLEST = 4  # a WRN halves the picture twice
MOST_BYTES = 8 << 30  # decoded pictures live in memory
CROP_SHARE = 8  # pad by an eighth of the side, as CIFAR's 4 of 32


def load_folder(data_dir: Path | None, image_size: int | None) -> Dataset:
    """Pictures resized to squares, three channels; mean and standard deviation are those of the training pictures.

    Raises DataError where folders are missing or empty, classes differ, a file can't be decoded, or all would not fit,
    and SettingError where `image_size` is too small for a network.
    """
    if data_dir is None:
        raise DataError("--dataset folder needs --data-dir, a folder that holds train/CLASS and test/CLASS")
    size = DEFAULT_SIZE if image_size is None else image_size
    if size < SMALLEST:
        raise SettingError(f"--image-size {size} is too small; give at least {SMALLEST}")
    train, test = (_listed(data_dir / part) for part in ("train", "test"))
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))[0]
        raise DataError(
            f"'{data_dir}' has class '{odd}' in only one of train and test; give both the same class folders"
        )
    need = (len(train) + len(test)) * 3 * size * size
    if need > MOST_BYTES:
        raise DataError(
            f"'{data_dir}' holds {len(train) + len(test):,} pictures, {need / 2**30:.1f} GiB at {size} pixels, and "
            f"{MOST_BYTES >> 30} GiB is the most; lower --image-size"
        )
    images = _decoded(train, size)
    mean, std = _statistics(images)
    return Dataset(
        name="folder",
        classes=tuple(train.classes),
        train=images,
        test=_decoded(test, size),
        mean=mean,
        std=std,
        scale=255.0,
        augmentation=Augmentation(padding=size // CROP_SHARE, flip=True),
    )


def _listed(folder: Path) -> Any:
    """torchvision's ImageFolder. Raises DataError where there is nothing to list."""
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(folder), loader=_open)
    except OSError as error:  # torchvision's own carry no strerror and end in a list of file endings
        reason = error.strerror or str(error).split(". Supported")[0].rstrip(".")
        raise DataError(
            f"'{folder}' is no folder of class folders ({reason}); put pictures into {folder}/CLASS/"
        ) from None


def _decoded(listed: Any, size: int) -> Images:
    """Every picture as bytes, in the order of the list."""
    from torchvision.transforms import v2

    resize = v2.Compose(
        [
            v2.ToImage(),
            v2.RGB(),
            v2.Resize((size, size), antialias=True),
            v2.ToDtype(torch.uint8, scale=True),
        ]
    )
    pixels = torch.empty(len(listed), 3, size, size, dtype=torch.uint8)
    for row, picture in enumerate(_pictures(listed)):
        pixels[row] = resize(picture)
    return images_of(pixels, torch.tensor(listed.targets, dtype=torch.int64))


def _pictures(listed: Any) -> Iterator[Any]:
    """Pictures one by one. Raises DataError where one can't be decoded."""
    for path, _ in listed.samples:
        try:
            yield listed.loader(path)
        except Exception as error:  # Pillow's decoders raise what they like, from struct.error to SyntaxError
            reason = str(error).split("\n")[0]
            raise DataError(f"'{path}' can't be read as a picture ({reason}); mend or remove it") from None


def _open(path: str) -> Any:
    """One picture in three channels of 8 bits. Raises what Pillow raises, and ValueError where there are more bits."""
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):  # Pillow would clip them to white
            raise ValueError("it has more than 8 bits a channel")
        if picture.mode == "P" and "transparency" in picture.info:  # Pillow warns of the direct way
            return picture.convert("RGBA").convert("RGB")
        return picture.convert("RGB")


def _statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in 0..1, from a histogram: no float copy of the pictures."""
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in images.pixels.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        middle = float((share * values).sum())
        mean.append(middle)
        std.append(max(float((share * (values - middle) ** 2).sum()) ** 0.5, 1 / 255))
    return tuple(mean), tuple(std)
