"""Batches for a training step: bytes on the device, normalised and augmented there."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from foldnet.bounds import check_number
from foldnet.data.augment import Augmentation, crop_and_flip, cut_out, draws
from foldnet.data.dataset import Dataset, Examples, Images
from foldnet.data.seeds import seed_of
from foldnet.data.tasks import Task
from foldnet.data.workers import in_workers, workers_beside

ON_DEVICE = 0.25  # share of a GPU's free memory up to which images live there


class Batches(Protocol):
    """What training and evaluation need to know of data, wherever they come from.

    `images` counts the examples of an epoch over all processes; each process gets its part of every batch.
    """

    @property
    def images(self) -> int:
        """How many examples an epoch has."""

    @property
    def task(self) -> Task:
        """How outputs for these data are judged."""

    def __len__(self) -> int:
        """How many batches an epoch has."""

    def sizes(self) -> list[int]:
        """How many examples each batch has, over all processes."""

    def of_epoch(self, number: int) -> "Batches":
        """The data of epoch 0, 1, ...: others in each phase where a curriculum says so, else always these."""

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of every example once, shuffled and augmented by (seed, number), from batch `start` on."""

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of every example once, in order, as it is."""


class Loader:
    """Batches of a dataset's images, which live on `device` as bytes; where they do not fit, worker processes read
    them.

    Of every batch the loader gives `part` = (number, of how many) alone, which may be empty; sizes differ by one at
    most. Shapes: x (b, c, h, w) float32, normalised, laid out as `memory_format`; y (b,) int64. Raises SettingError
    where a batch would hold no image.
    """

    def __init__(
        self,
        dataset: Dataset,
        images: Examples,
        *,
        batch_size: int,
        device: torch.device,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
        beside: int = 1,
        workers: int | None = None,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        """`images` are some of the dataset's; without `augmentation` they come as they are. `workers` is the number of
        worker processes, if they are needed; None takes what the machine can spare for each of the `beside` processes
        that train on it, 0 reads in this process.
        """
        check_number("batch_sizes", batch_size, setting="batch_size")
        self.source, self.device = images, device
        self.pixels: Tensor | None = None
        if isinstance(images, Images) and _has_room(device, images.pixels.numel()):
            self.pixels = images.pixels.to(device, memory_format=torch.channels_last)
        self.workers = workers_beside(device, beside) if workers is None else workers
        self.labels, self.ids = images.labels.to(device), images.ids.to(device)
        self.batch_size, self.augmentation, self.seed = batch_size, augmentation, seed
        self.part, self.memory_format = part, memory_format
        self.task = dataset.task
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
        return len(self.sizes())

    def of_epoch(self, number: int) -> "Loader":
        """The same in every epoch."""
        return self

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in an order drawn from (seed, number), augmented; the first `start` batches are not
        made."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, number))
        order = torch.randperm(self.images, generator=generator)
        yield from self._walk(order, start, number, self.augmentation)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order, as it is."""
        yield from self._walk(torch.arange(self.images), 0, 0, None)

    def _walk(
        self, order: Tensor, start: int, epoch: int, augmentation: Augmentation | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an order (n,) on the CPU."""
        there = self._parts(order.to(self.device))[start:]
        for rows, pixels in zip(there, self._pixels(self._parts(order)[start:], there), strict=True):
            yield self._batch(pixels, rows, epoch, augmentation), self.labels[rows]

    def _pixels(self, here: list[Tensor], there: list[Tensor]) -> Iterator[Tensor]:
        """The bytes of each batch on the device, from its rows on the CPU and on the device."""
        if self.pixels is not None:
            for rows in there:
                yield self.pixels[rows]
            return
        for pixels in in_workers(self.source.read, here, workers=self.workers, pin=self.device.type == "cuda"):
            yield pixels.to(self.device, non_blocking=True)

    def _parts(self, order: Tensor) -> list[Tensor]:
        """This loader's part of each batch of an order."""
        number, parts = self.part
        return [torch.tensor_split(rows, parts)[number] for rows in torch.split(order, self.sizes())]

    def _batch(self, pixels: Tensor, rows: Tensor, epoch: int, augmentation: Augmentation | None) -> Tensor:
        """The inputs of some images from their bytes."""
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

    def sizes(self) -> list[int]:
        """How many images each batch has. A lone last image joins the batch before: batch norm can't train on one value
        a channel."""
        sizes = [self.batch_size] * (self.images // self.batch_size)
        rest = self.images % self.batch_size
        if rest == 1 and sizes:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes


def _has_room(device: torch.device, count: int) -> bool:
    """Whether so many bytes may live on the device: memory of a CPU holds them already."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return count <= ON_DEVICE * free
