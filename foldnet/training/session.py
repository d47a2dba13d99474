"""A training that is prepared: machine, network, optimiser, data and course, each made once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, Examples, Split
from foldnet.data.source import Asked
from foldnet.errors import RunError, SettingError
from foldnet.hardware import memory_bytes
from foldnet.training.checkpoint import FILE, check_nothing_lost, load_optimiser
from foldnet.training.learner import Learner, Objective, build_optimiser, choose_compilation
from foldnet.training.machine import Machine, seeded
from foldnet.training.observer import BEGINNING, EPOCH, SILENT, Observer, Progress
from foldnet.training.runs import Lengthened, Run, length_at, lengthened
from foldnet.training.settings import TrainSettings

FLOAT_BYTES = 4
# By schedule, what the learning rate is multiplied by after how many per cent of the epochs; cosine has no such falls.
FALLS: dict[str, tuple[float, tuple[int, ...]]] = {
    "steps": (0.2, (30, 60, 80)),
    "tenths": (0.1, (50, 75)),
    "cosine": (1.0, ()),
    "constant": (1.0, ()),
}


@dataclass(frozen=True, slots=True)
class Course:
    """How long is trained, in how many `phases` of data, how fast, and by which seed; `lengthened` where it was to be
    shorter at first. `name` is what an epoch is called, `warmup` the share of the training in which the rate rises.
    """

    epochs: int
    lr: float
    seed: int
    schedule: str = "steps"
    lengthened: Lengthened = ()
    phases: int = 1
    name: str = EPOCH
    warmup: float = 0.0

    def phase(self, epoch: int) -> int:
        """Which phase, from 0, an epoch belongs to: the epochs are shared out evenly and in order; later ones are of
        the last."""
        length = length_at(epoch, self.epochs, self.lengthened)
        return min(epoch * self.phases // length, self.phases - 1)

    @property
    def restarts(self) -> tuple[int, ...]:
        """The epochs, from 0, with which phases begin: what was best before them no longer counts. One that was
        lengthened may go back to a phase."""
        found = [None, *map(self.phase, range(self.epochs))]
        return tuple(epoch for epoch in range(self.epochs) if found[epoch] != found[epoch + 1])

    def rate(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """The learning rate of step 0, 1, ... of the `steps` of epoch 0, 1, ...

        It is `lr`, with "steps" times 0.2 once 30, 60 and 80 % of the epochs are over, with "tenths" times 0.1 once 50
        and 75 % are, and with "cosine" it falls step by step along half a wave, from the end of the warm-up to 0. In
        the warm-up it rises to `lr` by equal steps.
        """
        epochs, (factor, shares) = length_at(epoch, self.epochs, self.lengthened), FALLS[self.schedule]
        rising = self.warmup * epochs
        if epoch + (step + 1) / steps < rising:
            return self.lr * (epoch + (step + 1) / steps) / rising
        if self.schedule == "cosine":
            fallen = max(epoch + step / steps - rising, 0.0) / (epochs - rising)
            return self.lr * (1 + math.cos(math.pi * fallen)) / 2
        return self.lr * factor ** sum(100 * epoch >= share * epochs for share in shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Learner):
    """A learner with what it sees in each phase and, if anything does, judges it between epochs, from where to where it
    goes, and who watches."""

    train: Sequence[Loader]
    validation: Sequence[Loader] = ()
    course: Course
    start: Progress = BEGINNING
    observer: Observer = SILENT


@dataclass(frozen=True, slots=True)
class Material:
    """A run with its data, the whole and what it trains on, and the machine that trains."""

    run: Run
    dataset: Dataset
    split: Split
    machine: Machine

    def plain(self, images: Examples) -> Loader:
        """Images in order, as they are, in batches of the run's size."""
        return loader_of(self.dataset, images, self.run.settings.batch_size, self.machine)

    def batches(self) -> tuple[list[Loader], list[Loader]]:
        """What a training sees in each phase and what it is judged by between epochs."""
        settings, phases = self.run.settings, self.split.phases or (self.split,)
        train = [training_loader(self.dataset, phase.train, settings, self.machine) for phase in phases]
        held = [self.plain(phase.validation) for phase in phases if phase.validation is not None]
        return train, held


def split_of(
    settings: TrainSettings, download: bool = False, data_dir: Path | None = None, beside: int = 1
) -> tuple[Dataset, Split]:
    """The dataset that the settings name, from `data_dir` where it has moved, and its training, validation and test
    images.

    `beside` processes of this machine ask for them at one time.
    """
    where = data_dir if data_dir is not None else Path(settings.data_dir) if settings.data_dir else None
    return settings.source.load(Asked(settings.validation, settings.seed, where, download, beside))


def split_of_run(run: Run, data_dir: Path | None = None, **options: Any) -> tuple[Dataset, Split]:
    """The data that a run was trained on, from `data_dir` where they have moved, with `split_of`'s options. Raises
    RunError where they have changed."""
    dataset, split = split_of(run.settings, data_dir=data_dir, **options)
    if split.hash != run.split_hash:
        raise RunError(
            f"the data are not those that run '{run.folder}' was trained on (their hash differs); "
            f"give the original place with `data_dir`"
        )
    return dataset, split


def loader_of(dataset: Dataset, images: Examples, batch_size: int, machine: Machine, **options: Any) -> Loader:
    """Batches of `images` on the machine's device, normalised as the dataset says, channels last, or as the dataset's
    own loader makes them; Loader's options."""
    world, make = machine.world, dataset.loader or Loader
    options |= {"device": machine.device, "part": (world.rank, world.size), "beside": world.beside}
    loader: Loader = make(dataset, images, batch_size=batch_size, **options)
    return loader


def training_loader(
    dataset: Dataset, images: Examples, settings: TrainSettings, machine: Machine, batch_size: int | None = None
) -> Loader:
    """Training images as the run itself saw them, augmented and shuffled by its seed.

    Batch norm is estimated anew on these as well: on CIFAR-10 the network's own statistics are those of augmented
    images, and estimating them on clean ones alone took 1.2 points off a soft SWRN 28-2-4 (85.1 to 83.9 % of 4,000 test
    images).
    """
    options = {"augmentation": replace(dataset.augmentation, cutout=settings.cutout), "seed": settings.seed}
    return loader_of(dataset, images, batch_size or settings.batch_size, machine, **options)


def session_of(material: Material, *, new: bool = False) -> tuple[Run, Session]:
    """The training of a run, from its last checkpoint where it has one; the run with its lengths as they are from then
    on. A `new` run has no folder yet.

    Raises RunError for a checkpoint that is lost, damaged or another run's, SettingError for what the machine does not
    hold.
    """
    run, machine = material.run, material.machine
    settings, task = run.settings, material.dataset.task
    compilation = choose_compilation(settings.compile, machine)
    _check_memory(run, machine)
    with seeded(settings.seed, torch.device("cpu")):  # the process's own random state stays untouched
        model = run.blueprint.build()
    start, last = BEGINNING, run.folder / "last"
    if not new:
        check_nothing_lost(run.folder)
        if (last / FILE).is_file():
            start = run.fill(model, "last")
        run = lengthened(run, start)
    if machine.on_cuda:  # what asks for the current one, such as pinning threads, then means this one
        torch.cuda.set_device(machine.device)
    machine.place(model)
    if settings.sync_bn:
        from foldnet.training.parallel import synchronise_norms

        model = synchronise_norms(model, machine)
    chosen = {"lr": settings.lr, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    optimiser = build_optimiser(model, kind=settings.optimiser, **chosen)
    if start != BEGINNING:
        load_optimiser(last, model, optimiser)
    regulariser = settings.recurrence, settings.recurrence_form, settings.recurrence_after
    objective = Objective(*regulariser, task, clip=settings.clip)
    if any((weights := settings.of_steps).values()):
        from foldnet.training.step_losses import StepLosses

        parts = {"progressive_reach": settings.progressive_reach, "mixed_starts": settings.mixed_starts}
        losses = StepLosses(model, task, machine, **weights, **parts)
        objective = replace(objective, loss=losses, run=losses.run, begin=losses.begin)
    if settings.spectral_norm:
        from foldnet.training.spectral import SpectralNorm

        objective = replace(objective, settle=SpectralNorm(model, settings.spectral_norm))
    learner = model, optimiser, machine, objective, compilation
    train, validation = material.batches()
    return run, Session(*learner, train=train, validation=validation, course=course_of(run), start=start)


def course_of(run: Run) -> Course:
    """How long and how fast a run is trained."""
    settings = run.settings
    length = run.lengthened, settings.source.phases
    return Course(settings.epochs, settings.lr, settings.seed, settings.schedule, *length, warmup=settings.warmup)


def _check_memory(run: Run, machine: Machine) -> None:
    """Raise SettingError for a network that the memory does not hold, before any of it is allocated."""
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in run.blueprint.build().parameters())
    # Weights, gradients and momenta; a GPU's own memory says so itself.
    needed, (total, _) = numbers * FLOAT_BYTES * (1 if machine.on_cuda else 3), memory_bytes()
    if total is not None and needed > total:
        raise SettingError(
            f"`arch={run.settings.arch!r}` has {numbers:,} parameters, which take {needed / 2**30:,.0f} GiB in "
            f"training, and this machine has {total / 2**30:,.1f}; choose a smaller network"
        )
