"""Batches made ahead by worker processes."""

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from foldnet.errors import DataError
from foldnet.hardware import cores

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
        batch_sampler=_Batches(batches),
        num_workers=workers,
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,
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


class _Batches(Sampler[list[int]]):
    """Rows batch by batch, as lists that live no longer than they must."""

    def __init__(self, batches: Sequence[Tensor]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self.batches:
            yield rows.tolist()

    def __len__(self) -> int:
        return len(self.batches)


class _Reader(Dataset[Any]):
    """Reads a whole batch; an error comes back as its sentence, since torch would wrap the exception in its
    traceback."""

    def __init__(self, read: Read) -> None:
        self.read = read

    def __getitems__(self, rows: list[int]) -> Tensor | str:
        try:
            return self.read(rows)
        except DataError as error:
            return str(error)


def _as_it_is(batch: Any) -> Any:
    """A batch is read whole: there is nothing to collate."""
    return batch


def _start(number: int) -> None:
    """Leave Ctrl-C, and the SIGTERM that a cluster sends to all, to the process that trains: it may want another batch
    yet."""
    os.setpgid(0, 0)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # what came meanwhile is ignored
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
