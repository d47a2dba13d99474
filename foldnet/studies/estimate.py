"""What trials will take: memory, from the network's own tensors, and time, from epochs that were trained already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import fmean

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from foldnet.errors import FoldnetError, SettingError
from foldnet.hardware import memory_bytes
from foldnet.show.report import gibibytes
from foldnet.studies.trial import Site, Trial
from foldnet.training.checkpoint import read_metrics
from foldnet.training.settings import TrainSettings
from foldnet.zoo.blueprint import blueprint

PROCESS = 700 << 20  # bytes of a process with torch and the images of CIFAR, measured: 0.5 to 0.7 GiB
NUMBER = 4  # bytes of one in single precision
CLASSES = {"cifar100": 100}  # of sources whose classes are known before they are loaded; 10 of others


def memory_of(trial: Trial) -> int:
    """Bytes that a training takes: its process, weights with gradient and momentum, and what a step keeps for its
    gradient.

    Nothing is allocated: the step is taken on the meta device, in fp32.
    """
    settings = trial.settings
    named = json.dumps(settings.named)  # a text, which a cache takes
    return _memory(settings.arch, named, settings.batch_size, settings.dataset, _side(settings))


@cache
def _memory(arch: str, named: str, batch: int, dataset: str, side: int) -> int:
    """The same of a network and a batch."""
    with torch.device("meta"):
        built = blueprint(arch, classes=CLASSES.get(dataset, 10), size=side, **json.loads(named))
        kind = torch.int64 if built.family.symbols else torch.float32
        network, x = built.build(), torch.empty(batch, *built.shape, dtype=kind)
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage()._cdata] = tensor  # what several operations keep is one storage
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            network(x)
    weights = sum(parameter.numel() for parameter in network.parameters())
    return PROCESS + 3 * NUMBER * weights + sum(NUMBER * tensor.numel() for tensor in kept.values())


def _side(settings: TrainSettings) -> int:
    """The side, or length, of one input."""
    source, names = settings.source, ("grid", "size", "image_size", "context")
    return next((getattr(source, name) for name in names if hasattr(source, name)), 32)


def check_memory(trials: Sequence[Trial], jobs: int) -> None:
    """Raise SettingError where the largest trials, `jobs` at one time, need more memory than is free."""
    free = memory_bytes()[1]
    largest = sorted((memory_of(trial) for trial in trials), reverse=True)[:jobs]
    if free is not None and sum(largest) > free:
        fewer = max((count for count in range(1, jobs) if sum(largest[:count]) <= free), default=1)
        raise SettingError(
            f"`jobs={jobs}` needs about {gibibytes(sum(largest))} of memory at one time and "
            f"{gibibytes(free)} are free; "
            f"give `jobs={fewer}`"
            if jobs > 1
            else f"the largest trial needs about {gibibytes(largest[0])} of memory and {gibibytes(free)} are free; "
            "give it a smaller `batch_size`"
        )


def seconds_of(trials: Sequence[Trial], site: Site) -> Mapping[str, float | None]:
    """Seconds that each trial still takes, by name: from its own epochs, else from those of a trial of the same network
    and data; None where no epoch was trained."""
    paces: dict[str, tuple[float, int]] = {}
    alike: dict[tuple[str, str], float] = {}  # by network and data
    for trial in trials:
        try:
            lines = read_metrics(site.run_of(trial))
        except FoldnetError:
            continue
        if lines:
            each = fmean(line["seconds"] for line in lines)
            paces[trial.name] = each, len(lines)
            alike[trial.settings.network, trial.settings.dataset] = each
    found: dict[str, float | None] = {}
    for trial in trials:
        own, done = paces.get(trial.name, (0.0, 0))
        pace = own or alike.get((trial.settings.network, trial.settings.dataset))
        found[trial.name] = None if pace is None else pace * (trial.settings.epochs - done)
    return found
