"""What every benchmark does: limit the threads, make inputs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from foldnet.hardware import cpu_features, processor_name
from foldnet.training.begin import about_machine
from foldnet.training.machine import Machine

SEED = 0  # of the inputs


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """So many CPU threads while the block runs; None leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measured_on(machine: Machine) -> dict[str, Any]:
    """Versions and hardware; of a processor its name and what it offers, since that decides the speed."""
    about = about_machine(machine)
    if machine.device.type == "cpu":
        about |= {"processor": processor_name(), "features": list(cpu_features())}
    return about


def place_of(about: Mapping[str, Any]) -> str:
    """Where it was measured, in words."""
    return f"{about['processor']}, {about['device']}, {about['threads']} threads, torch {about['torch']}"


def random_images(count: int, image: tuple[int, int, int], machine: Machine) -> Tensor:
    """(count, *image) on the machine's device, channels last, the same in every run."""
    x = torch.randn(count, *image, generator=torch.Generator().manual_seed(SEED))
    return x.to(machine.device, memory_format=torch.channels_last)
