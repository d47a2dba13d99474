"""Batches for a training step: bytes on the device, normalised and augmented there."""

import hashlib
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Rows

from foldnet.bounds import BOUNDS, check_number
from foldnet.data.augment import Augmentation, crop_and_flip, cut_out, draws
from foldnet.data.dataset import Dataset, Examples, Images
from foldnet.errors import DataError
from foldnet.hardware import cores

if TYPE_CHECKING:
    from foldnet.data.windows import Windows


def seed_of(*numbers: int) -> int:
    """63 bits from all of the numbers, by a hash: (1, 0) and (0, 1) give others."""
    text = "/".join(map(str, numbers))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


Read = Callable[[Sequence[int]], Tensor]
AHEAD = 2  # batches that each worker makes before they are asked for: so many are in memory at once
MOST_WORKERS = 8
STOPPING = (signal.SIGINT, signal.SIGTERM)


def workers_beside(device: torch.device, processes: int = 1) -> int:
    """How many workers leave training its due: all cores but one beside a GPU, a quarter of them beside a CPU's own
    steps."""
    share = cores() // processes
    return min(MOST_WORKERS, max(1, share - 1 if device.type == "cuda" else share // 4))


def in_workers(read: Read, batches: Sequence[Tensor], *, workers: int, pin: bool = False) -> Iterator[Tensor]:
    """read(rows) for each batch of rows (b,) on the CPU, in order, by `workers` processes; 0 means in this one.

    `pin` puts the results into pinned memory, from which a GPU copies while it computes. Random states stay as they
    are. Raises DataError as `read` does, and where a process dies.
    """
    if not workers:
        for rows in batches:
            yield read(rows.tolist())
        return
    loader: DataLoader[Any] = DataLoader(
        _Reader(read),
        sampler=map(Tensor.tolist, batches),
        batch_size=None,  # a batch is read whole: there is nothing to collate
        num_workers=workers,
        prefetch_factor=AHEAD,
        worker_init_fn=_start,
        pin_memory=pin,
        generator=torch.Generator(),  # else torch draws the workers' seed from the training's random numbers
    )
    with warnings.catch_warnings():
        # Python warns of forking where there are threads; these children read files and touch no lock of the parent's.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Nor may a signal that was meant for the training reach a child before it stands apart.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            found = iter(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for _ in batches:
        try:
            result = next(found)
        except RuntimeError as error:  # what torch says when a worker was killed
            reason = str(error).split("\n")[0].rstrip(".")
            raise DataError(
                f"a process that reads pictures died ({reason}); give the machine more memory or lower `batch_size`"
            ) from None
        if isinstance(result, str):
            raise DataError(result)
        yield result


class _Reader(Rows[Any]):
    """Reads a whole batch; an error comes back as its sentence, since torch would wrap the exception in its
    traceback."""

    def __init__(self, read: Read) -> None:
        self.read = read

    def __getitem__(self, rows: list[int]) -> Tensor | str:
        try:
            return self.read(rows)
        except DataError as error:
            return str(error)


def _start(number: int) -> None:
    """Leave Ctrl-C, and the SIGTERM that a cluster sends to all, to the process that trains: it may want another batch
    yet."""
    os.setpgid(0, 0)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # what came meanwhile is ignored
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


ON_DEVICE = 0.25  # share of a GPU's free memory up to which images live there


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
        check_number("batch_size", batch_size, bound=BOUNDS["batch_sizes"])
        self.source, self.device = images, device
        self.workers = workers_beside(device, beside) if workers is None else workers
        self.ids = images.ids.to(device)
        self.batch_size, self.augmentation, self.seed = batch_size, augmentation, seed
        self.part, self.memory_format = part, memory_format
        self.task = dataset.task
        self._hold(dataset, images)

    def _hold(self, dataset: Dataset, images: Any) -> None:
        """Keep what batches are made of."""
        self.pixels: Tensor | None = None
        if isinstance(images, Images) and _has_room(self.device, images.pixels.numel()):
            self.pixels = images.pixels.to(self.device, memory_format=torch.channels_last)
        self.labels = images.labels.to(self.device)
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(dataset.mean, device=self.device).view(shape)
        self._std = torch.tensor(dataset.std, device=self.device).view(shape)
        self._scale = dataset.scale

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.ids)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(self.sizes())

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
        if TYPE_CHECKING:
            assert not isinstance(self.source, Windows)  # which have a loader of their own
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
