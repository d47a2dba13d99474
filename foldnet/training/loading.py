"""Data as a run means them."""

from dataclasses import replace
from pathlib import Path

from foldnet.data.augment import Augmentation
from foldnet.data.batches import Batches, Loader
from foldnet.data.dataset import Dataset, Examples, Split
from foldnet.data.phases import Phased
from foldnet.data.sources import Asked
from foldnet.data.tasks import TASKS
from foldnet.errors import RunError, SettingError
from foldnet.training.machine import Machine
from foldnet.training.runs import Run
from foldnet.training.settings import TrainSettings
from foldnet.zoo.blueprint import Blueprint, blueprint
from foldnet.zoo.families import is_soft, published


def split_of(
    settings: TrainSettings, download: bool = False, data_dir: Path | None = None, beside: int = 1
) -> tuple[Dataset, Split]:
    """The dataset that the settings name, from `data_dir` where it has moved, and its training, validation and test
    images.

    `beside` processes of this machine ask for them at one time.
    """
    where = data_dir if data_dir is not None else Path(settings.data_dir) if settings.data_dir else None
    return settings.source.load(Asked(settings.validation, settings.seed, where, download, beside))


def check_answers(dataset: Dataset, network: Blueprint) -> None:
    """Raise SettingError where a network answers for what the dataset does not ask about."""
    wanted = next(name for name, task in TASKS.items() if task == dataset.task)
    if network.task != wanted:
        softs = [name for name in published() if is_soft(name)]
        soft = next(known for known in map(blueprint, softs) if known.task == wanted)
        raise SettingError(
            f"`arch={network.arch!r}` answers for {network.task} and {dataset.name} asks for {wanted}; "
            f"choose one such as {soft.arch} or {soft.plain.arch}"
        )


def split_of_run(run: Run, data_dir: Path | None = None) -> tuple[Dataset, Split]:
    """The data that a run was trained on, from `data_dir` where they have moved. Raises RunError where they have
    changed."""
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

    Batch norm is estimated anew on these as well: on CIFAR-10 the network's own statistics are those of augmented
    images, and estimating them on clean ones alone took 1.2 points off a soft SWRN 28-2-4 (85.1 to 83.9 % of 4,000 test
    images).
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
