"""Batches for a training step: bytes on the device, normalised and augmented there."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from foldnet.data.augment import Augmentation, crop_and_flip, cut_out, draws
from foldnet.data.dataset import Dataset, Images
from foldnet.errors import SettingError


class Loader:
    """Batches of a dataset's images, which live on `device` as bytes.

    Shapes: x (b, c, h, w) float32, normalised, laid out as `memory_format`; y (b,) int64.
    Raises SettingError where a batch would hold no image.
    """

    def __init__(
        self,
        dataset: Dataset,
        images: Images,
        *,
        batch_size: int,
        device: torch.device,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        """`images` are some of the dataset's; without `augmentation` they come as they are."""
        if batch_size < 1:
            raise SettingError(f"--batch-size {batch_size} is not legal; give a whole number of at least 1")
        self.pixels = images.pixels.to(device, memory_format=torch.channels_last)
        self.labels, self.ids = images.labels.to(device), images.ids.to(device)
        self.batch_size, self.augmentation, self.seed = batch_size, augmentation, seed
        self.memory_format = memory_format
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(dataset.mean, device=device).view(shape)
        self._std = torch.tensor(dataset.std, device=device).view(shape)
        self._scale = dataset.scale

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.labels)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(self._cuts())

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in an order drawn from (seed, number), augmented."""
        generator = torch.Generator().manual_seed(_order_seed(self.seed, number))
        order = torch.randperm(self.images, generator=generator).to(self.labels.device)
        for rows in torch.split(order, self._cuts()):
            yield self._batch(rows, number, self.augmentation), self.labels[rows]

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order, as it is."""
        rows = torch.arange(self.images, device=self.labels.device)
        for part in torch.split(rows, self._cuts()):
            yield self._batch(part, 0, None), self.labels[part]

    def _batch(self, rows: Tensor, epoch: int, augmentation: Augmentation | None) -> Tensor:
        """The inputs of some images."""
        pixels = self.pixels[rows]
        if augmentation is None:
            return self._normalised(pixels)
        size = (pixels.shape[2], pixels.shape[3])
        drawn = draws(self.ids[rows], self.seed, epoch, size=size, augmentation=augmentation)
        if augmentation.padding or augmentation.flip:
            pixels = crop_and_flip(pixels, drawn.offsets, drawn.flips, augmentation.padding)
        x = self._normalised(pixels)
        return cut_out(x, drawn.centres, augmentation.cutout) if augmentation.cutout else x

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Bytes to inputs."""
        x = (pixels.float() / self._scale - self._mean) / self._std
        return x.contiguous(memory_format=self.memory_format)

    def _cuts(self) -> list[int]:
        """Sizes of the batches. A lone last image joins the batch before: batch norm can't train on one value a channel."""
        sizes = [self.batch_size] * (self.images // self.batch_size)
        rest = self.images % self.batch_size
        if rest == 1 and sizes:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes


def _order_seed(seed: int, epoch: int) -> int:
    """A seed for torch from both numbers: a hash, so that (1, 0) and (0, 1) give other orders."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:8], "big") >> 1
