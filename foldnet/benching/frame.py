"""What both benches have in common: the machine, the settings as they were chosen, and what a report says of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from foldnet.benching.settings import InferenceBench, TrainBench, command_of
from foldnet.show.report import Report, Text, counted
from foldnet.training.machine import Machine
from foldnet.zoo.blueprint import Blueprint

SEED = 0  # of the inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport(Report):
    """What a bench says: figures of some networks, measured in turns on one machine; `settings` hold what was chosen
    where they left it open. `image` is the shape of one input, of images (channels, height, width),
    `unit` what inputs are called."""

    computed: ClassVar[tuple[str, ...]] = (
        *("command", "precision=settings.precision", "device=machine.device"),
        *("threads=machine.threads", "ratios", "saying"),
    )
    unwritten: ClassVar[tuple[str, ...]] = ("settings", "unit")
    saying: ClassVar[str]
    arch: str
    unit: str = "images"
    image: tuple[int, ...]
    settings: Any
    machine: dict[str, Any]
    results: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def command(self) -> str:
        """What measures it again."""
        return command_of(self.settings)

    def below(self, what: str, how: str) -> Iterator[Text]:
        """What stands below the tables: what was measured, where and how, and what to make of it."""
        machine = self.machine | {"threads": counted(self.machine["threads"], "thread")}
        place = "{processor}, {device}, {threads}, torch {torch}".format_map(machine)
        yield Text(f"\n{what}, {place}, {how}")
        yield Text(self.saying)
        yield from (Text(f"note: {note}", "note") for note in self.notes)


@contextmanager
def framed(settings: InferenceBench | TrainBench, machine: Machine) -> Iterator[dict[str, Any]]:
    """Compute with so many CPU threads as the settings say while the block runs. Gives what a report says of that."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads or before)
    try:
        about = machine.about()
        chosen = {name: about[name] for name in ("threads", "device")} | {"precision": machine.precision}
        yield {"settings": replace(settings, **chosen), "machine": about}
    finally:
        torch.set_num_threads(before)


def tf32_note(machine: Machine, more: str = "") -> tuple[str, ...]:
    """What a reader of figures in fp32 should know, where they are a GPU's."""
    said = f"on CUDA torch computes fp32 convolutions in TF32 unless it is told otherwise{more}"
    return (said,) if machine.device.type == "cuda" else ()


def random_inputs(count: int, built: Blueprint, machine: Machine) -> Tensor:
    """(count, *shape) on the machine's device, images channels last, the same in every run."""
    return machine.put(built.random_inputs(count, SEED))
