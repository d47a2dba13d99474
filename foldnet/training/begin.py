"""Beginning a run in a folder of its own, or taking one up again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from foldnet.data.dataset import Dataset, Split
from foldnet.data.sources import Digits, source_type
from foldnet.errors import OutputError, RunError, SettingError, UnknownName, nearest
from foldnet.store.artifact import refuse_linked
from foldnet.store.files import refuse_unnamed
from foldnet.store.folders import check_replaceable, new_folder, numbered_folder
from foldnet.store.lock import Lock, take_lock
from foldnet.training.lengthen import check_longer
from foldnet.training.loading import check_answers, split_of
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.recorder import coefficients
from foldnet.training.recurrence import banks_of
from foldnet.training.runs import Run, create_run, default_name, newest_run, open_run, save_coefficients
from foldnet.training.session import Session, session_of
from foldnet.training.settings import TrainSettings, flat, read_toml
from foldnet.training.world import World
from foldnet.zoo.blueprint import Blueprint, blueprint

RECALL = "-recall"
FREE_TO_CHANGE = ("device", "data_dir")  # a resumed run may move to another machine


def begin_run(
    settings: TrainSettings, folder: Path | None, resume: bool, force: int, download: bool, world: World
) -> tuple[Run, Dataset, Split, Session, Lock]:
    """Make the folder of a new run, whose only writer this process is then, and prepare it. What can be wrong is found
    before."""
    if folder is not None:
        refuse_unnamed(folder)
    replaces = folder is not None and folder.exists()
    if folder is not None and replaces:
        _check_place(folder, resume=resume, force=force)
    machine = choose_machine(settings.device, settings.precision, world)
    dataset, split = split_of(settings, download, beside=world.beside)
    built = blueprint_for(settings, dataset)
    place = folder or default_name(settings)
    run = Run(place, settings, built, machine.precision, split.hash)
    run, session = session_of(run, dataset, split, machine, new=True)
    with ExitStack() as stack:
        if folder is None:
            temporary, folder = stack.enter_context(numbered_folder(place))
        else:
            if (folder / "config.json").is_file():
                stack.enter_context(closing(take_lock(folder)))
            # Nothing is replaced that was not there before: two trainings may be started at one time.
            check = partial(check_replaceable, opened=open_run, kind="run", force=force) if replaces else None
            temporary = stack.enter_context(new_folder(folder, check=check))
        run = create_run(temporary, replace(run, folder=folder), about_machine(machine))
        if banks_of(session.model):
            save_coefficients(temporary, coefficients(session.model, {}))
        lock = take_lock(temporary)
    lock.folder = folder
    return run, dataset, split, session, lock


def blueprint_for(settings: TrainSettings, dataset: Dataset) -> Blueprint:
    """The network that the settings name, for what the dataset has. Raises UnknownName, SettingError where it answers
    for something else."""
    built = blueprint(
        settings.arch,
        classes=len(dataset.classes),
        channels=dataset.channels,
        size=dataset.size,
        dropout=settings.dropout,
    )
    check_answers(dataset, built)
    return built


def take_up(run: Run, asked: Mapping[str, Any], config: Path | None, recall: bool) -> Run:
    """The run as it goes on: what may change does, and more epochs make it longer (training/lengthen.py keeps that).

    Raises SettingError and UnknownName for anything else that is asked, OutputError where the run lies behind a link in
    another.
    """
    refuse_linked(run.folder)
    if recall and not run.settings.arch.endswith(RECALL):
        raise SettingError(
            f"`recall=True` contradicts run '{run.folder}', which trains '{run.settings.arch}'; leave it "
            "out, or start another run"
        )
    in_file = read_toml(config) if config is not None else {}
    wanted = in_file | dict(asked)
    if recall and "arch" in wanted:
        wanted["arch"] = with_recall(asked, config)
    stored = flat(run.settings)
    changes = {key: value for key, value in wanted.items() if value != stored.get(key)}
    for key, value in changes.items():
        if key not in stored:
            raise UnknownName(f"setting '{key}' does not exist{nearest(key, stored)}")
        said = f"`{key}={value!r}`" if key in asked else f"'{config}' with {key} = {value}"
        if key == "epochs":
            check_longer(run, value, said)
        elif key not in FREE_TO_CHANGE:
            raise SettingError(
                f"{said} contradicts run '{run.folder}', which was started with {stored.get(key)}; "
                f"leave it out, or start another run with `out`"
            )
    return replace(run, settings=replace(run.settings, **changes))


def folder_to_resume(folder: Path | None) -> Path | None:
    """The folder named, else the newest run; None where there is nothing to resume yet."""
    if folder is not None:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
            raise RunError(f"'{folder}' is not a run folder and not empty; give `out` another name")
        return folder
    try:
        return newest_run()
    except RunError:
        return None


def data_of(run: Run, download: bool, world: World) -> tuple[Dataset, Split]:
    """The data that a run goes on with. Raises RunError where they have changed."""
    dataset, split = split_of(run.settings, download, beside=world.beside)
    if split.hash != run.split_hash:
        raise RunError(
            f"the training data are not those that run '{run.folder}' was started with (their hash differs); "
            f"restore them or start another run"
        )
    return dataset, split


def _check_place(folder: Path, *, resume: bool, force: int) -> None:
    """Raise OutputError where a new run may not take the place of what exists there."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if empty and (resume or force):
        return
    if not empty and not (folder / "config.json").is_file():
        raise OutputError(f"'{folder}' exists already and is not a run folder; give `out` another name")
    if not force:
        raise OutputError(
            f"'{folder}' exists already; continue it with `resume=True`, replace it with `force=True`, or change `out`"
        )
    check_replaceable(folder, open_run, kind="run", force=force)


def with_recall(given: Mapping[str, Any], config: Path | None) -> str:
    """The name of the network in which every step sees the input again."""
    chosen = (read_toml(config) if config is not None else {}) | {k: v for k, v in given.items() if v is not None}
    arch = str(chosen.get("arch") or source_type(chosen.get("dataset", Digits.name)).arch)
    return arch if arch.endswith(RECALL) else arch + RECALL


def about_machine(machine: Machine) -> dict[str, Any]:
    """Versions and hardware, for whoever wants to run it again."""
    processor = torch.cuda.get_device_name(machine.device) if machine.device.type == "cuda" else platform.processor()
    return {
        "foldnet": version("foldnet"),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(machine.device),
        "processor": processor or platform.machine(),
        "threads": torch.get_num_threads(),
    }
