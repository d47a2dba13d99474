"""Data as a run means them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from foldnet.config import GRID_PRESETS, TrainSettings
from foldnet.data.augment import Augmentation
from foldnet.data.batches import Batches, Loader
from foldnet.data.curriculum import Curriculum, Rule, split_curriculum
from foldnet.data.dataset import Dataset, Examples, Split, split_validation
from foldnet.data.mazes import MazeRule
from foldnet.data.paths import PathRule
from foldnet.data.phases import Phased
from foldnet.data.sources import load_dataset
from foldnet.data.tasks import CELLS, CLASSES, Task
from foldnet.errors import RunError, SettingError
from foldnet.training.machine import Machine
from foldnet.training.runs import Run
from foldnet.zoo.names import parse_name

TASKS: dict[str, Task] = {"classes": CLASSES, "cells": CELLS}  # by what a network answers for


def split_of(
    settings: TrainSettings, download: bool = False, data_dir: Path | None = None, beside: int = 1
) -> tuple[Dataset, Split]:
    """The dataset that the settings name, from `data_dir` where it has moved, and its training, validation and test images.

    `beside` processes of this machine ask for them at one time.
    """
    if settings.dataset in GRID_PRESETS:
        return split_curriculum(curriculum_of(settings))
    where = data_dir if data_dir is not None else Path(settings.data_dir) if settings.data_dir else None
    dataset = load_dataset(
        settings.dataset, data_dir=where, download=download, image_size=settings.image_size, beside=beside
    )
    return dataset, split_validation(dataset, settings.validation, settings.seed)


def curriculum_of(settings: TrainSettings) -> Curriculum:
    """What grids the settings ask for, the dataset's preset where they say nothing. Raises SettingError for what none can be."""
    usual = GRID_PRESETS[settings.dataset]

    def chosen(name: str) -> Any:
        value = getattr(settings, name)
        return usual[name] if value is None else value

    rules: tuple[Rule, ...]
    if settings.dataset == "mazes":
        rules = (MazeRule(chosen("size")),)
    else:
        rules = tuple(
            PathRule(chosen("grid"), window, chosen("obstacles"), chosen("target")) for window in chosen("windows")
        )
    return Curriculum(rules, chosen("examples"), settings.validation, chosen("test_examples"), settings.seed)


def task_of(arch: str) -> Task:
    """What a network by that name learns."""
    return TASKS[parse_name(arch).answers_for]


def check_answers(dataset: Dataset, arch: str) -> None:
    """Raise SettingError where a network answers for what the dataset does not ask about."""
    given = parse_name(arch).answers_for
    wanted = next(name for name, task in TASKS.items() if task == dataset.task)
    if given != wanted:
        known = "scnn-20-32-20 or cnn-20-32" if wanted == "cells" else "swrn-28-2-4 or wrn-28-2"
        raise SettingError(
            f"`arch={arch!r}` answers for {given} and {dataset.name} asks for {wanted}; choose one such as {known}"
        )


def split_of_run(run: Run, data_dir: Path | None = None) -> tuple[Dataset, Split]:
    """The data that a run was trained on, from `data_dir` where they have moved. Raises RunError where they have changed."""
    dataset, split = split_of(run.settings, data_dir=data_dir)
    if split.hash != run.split_hash:
        raise RunError(
            f"the data are not those that run '{run.folder}' was trained on (their hash differs); "
            f"give the original place with `data_dir`"
        )
    return dataset, split


def loader_of(
    dataset: Dataset,
    images: Examples,
    batch_size: int,
    machine: Machine,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> Loader:
    """Batches of `images` on the machine's device, normalised as the dataset says, channels last."""
    return Loader(
        dataset,
        images,
        batch_size=batch_size,
        device=machine.device,
        augmentation=augmentation,
        seed=seed,
        part=(machine.world.rank, machine.world.size),
        beside=machine.world.beside,
    )


def training_loader(
    dataset: Dataset, images: Examples, settings: TrainSettings, machine: Machine, batch_size: int | None = None
) -> Loader:
    """Training images as the run itself saw them, augmented and shuffled by its seed.

    Batch norm is estimated anew on these as well: on CIFAR-10 the network's own statistics are those of augmented images,
    and estimating them on clean ones alone took 1.2 points off a soft SWRN 28-2-4 (85.1 to 83.9 % of 4,000 test images).
    """
    augmentation = replace(dataset.augmentation, cutout=settings.cutout)
    return loader_of(dataset, images, batch_size or settings.batch_size, machine, augmentation, settings.seed)


def training_batches(dataset: Dataset, split: Split, run: Run, machine: Machine) -> tuple[Batches, Batches | None]:
    """What a whole training sees and what it is judged by between epochs; of a curriculum, phase by phase."""
    settings = run.settings

    def plain(images: Examples | None) -> Loader | None:
        return None if images is None else loader_of(dataset, images, settings.batch_size, machine)

    if not split.phases:
        return training_loader(dataset, split.train, settings, machine), plain(split.validation)
    train = [training_loader(dataset, phase.train, settings, machine) for phase in split.phases]
    held = [loader for phase in split.phases if (loader := plain(phase.validation)) is not None]
    epochs, lengthened = settings.epochs, run.lengthened
    return Phased(train, epochs, lengthened), Phased(held, epochs, lengthened) if held else None
