"""Beginning a run in a folder of its own, or taking one up again, also to make it longer than it was meant to be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from foldnet.bounds import check_number
from foldnet.data.dataset import Dataset
from foldnet.data.sources import Digits, source_type
from foldnet.data.tasks import TASKS
from foldnet.errors import OutputError, RunError, SettingError, UnknownName, nearest
from foldnet.store.artifact import CHECKPOINTS, RUN, refuse_linked
from foldnet.store.files import new_folder, numbered_folder, refuse_link, refuse_unnamed, write_json
from foldnet.store.leftovers import remove_leftovers
from foldnet.store.lock import Lock, take_lock
from foldnet.store.seals import sealed
from foldnet.training.checkpoint import save_coefficients
from foldnet.training.machine import World, choose_machine
from foldnet.training.observer import Observer
from foldnet.training.recurrence import banks_of
from foldnet.training.runs import Run, coefficients, create_run, default_name, newest_run, open_run
from foldnet.training.session import Material, Session, course_of, session_of, split_of, split_of_run
from foldnet.training.settings import TrainSettings, flat, read_toml
from foldnet.zoo.blueprint import Blueprint, blueprint
from foldnet.zoo.families import is_soft, published

RECALL = "-recall"
FREE_TO_CHANGE = ("device", "data_dir")  # a resumed run may move to another machine


def place_of(out: Path | str | None, resume: bool, force: int) -> Path | None:
    """The folder that is asked for, or with `resume` the one to go on with; None for a new one.

    Raises SettingError for a contradiction, OutputError where what exists there may not be replaced.
    """
    folder = Path(out) if out is not None else None
    if folder is not None:
        remove_leftovers(folder.parent)
    if resume and force:
        raise SettingError("`resume=True` and `force=True` contradict each other; give one of them")
    return folder_to_resume(folder) if resume else folder


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


def clear_leftovers(folder: Path) -> None:
    """Remove what killed commands were in the middle of writing into a run. Raises OutputError for linked
    checkpoints."""
    for name in CHECKPOINTS:
        refuse_link(folder / name)
    for place in (folder, *(folder / name for name in CHECKPOINTS)):
        remove_leftovers(place)


def begin_run(
    settings: TrainSettings, folder: Path | None, *, resume: bool, force: int, download: bool, world: World
) -> tuple[Material, Session, Lock]:
    """Make the folder of a new run, whose only writer this process is then, and prepare it. What can be wrong is found
    before."""
    check = None
    if folder is not None:
        refuse_unnamed(folder)
        if folder.exists():
            _check_place(folder, resume=resume, force=force)
            check = partial(RUN.check_replaceable, opened=open_run, force=force)
    machine = choose_machine(settings.device, settings.precision, world)
    dataset, split = split_of(settings, download, beside=world.beside)
    place = folder or default_name(settings)
    run = Run(place, settings, blueprint_for(settings, dataset), machine.precision, split.hash)
    material = Material(run, dataset, split, machine)
    run, session = session_of(material, new=True)
    with ExitStack() as stack:
        if folder is None:
            temporary, folder = stack.enter_context(numbered_folder(place))
        else:
            if (folder / "config.json").is_file():
                stack.enter_context(closing(take_lock(folder)))
            # Nothing is replaced that was not there before: two trainings may be started at one time.
            temporary = stack.enter_context(new_folder(folder, check=check))
        run = create_run(temporary, replace(run, folder=folder), machine.about())
        if banks_of(session.model):
            save_coefficients(temporary, coefficients(session.model, {}))
        lock = take_lock(temporary)
    lock.folder = folder
    return replace(material, run=run), session, lock


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
    RUN.check_replaceable(folder, open_run, force=force)


def blueprint_for(settings: TrainSettings, dataset: Dataset) -> Blueprint:
    """The network that the settings name, for what the dataset has. Raises UnknownName, SettingError where it answers
    for something else."""
    shape = {"classes": len(dataset.classes), "channels": dataset.channels, "size": dataset.size}
    built = blueprint(settings.arch, **shape, dropout=settings.dropout)
    wanted = next(name for name, task in TASKS.items() if task == dataset.task)
    if built.task != wanted:
        soft = next(known for known in map(blueprint, filter(is_soft, published())) if known.task == wanted)
        raise SettingError(
            f"`arch={built.arch!r}` answers for {built.task} and {dataset.name} asks for {wanted}; "
            f"choose one such as {soft.arch} or {soft.plain.arch}"
        )
    return built


def with_recall(given: Mapping[str, Any], config: Path | None) -> str:
    """The name of the network in which every step sees the input again."""
    chosen = (read_toml(config) if config is not None else {}) | dict(given)
    arch = str(chosen.get("arch") or source_type(chosen.get("dataset", Digits.name)).arch)
    return arch if arch.endswith(RECALL) else arch + RECALL


def take_up(run: Run, asked: Mapping[str, Any], config: Path | None, recall: bool) -> Run:
    """The run as it goes on: what may change does, and more epochs make it longer (`keep_length` writes that).

    Raises SettingError and UnknownName for anything else that is asked, OutputError where the run lies behind a link in
    another.
    """
    refuse_linked(run.folder)
    if recall and not run.settings.arch.endswith(RECALL):
        raise SettingError(
            f"`recall=True` contradicts run '{run.folder}', which trains '{run.settings.arch}'; leave it "
            "out, or start another run"
        )
    wanted = (read_toml(config) if config is not None else {}) | dict(asked)
    if recall and "arch" in wanted:
        wanted["arch"] = with_recall(asked, config)
    stored = flat(run.settings)
    changes = {key: value for key, value in wanted.items() if value != stored.get(key)}
    for key, value in changes.items():
        if key not in stored:
            raise UnknownName(f"setting '{key}' does not exist{nearest(key, stored)}")
        said = f"`{key}={value!r}`" if key in asked else f"'{config}' with {key} = {value}"
        if key == "epochs":
            check_number("epochs", value)
            if value > stored[key]:
                continue
            has = f"has {stored[key]} epochs and can only be given more"  # they followed the schedule of its length
        elif key in FREE_TO_CHANGE:
            continue
        else:
            has = f"was started with {stored[key]}"
        raise SettingError(
            f"{said} contradicts run '{run.folder}', which {has}; leave it out, or start another run with `out`"
        )
    return replace(run, settings=replace(run.settings, **changes))


def material_of(run: Run, download: bool, world: World) -> Material:
    """What a run goes on with, on the machine that it is to move to. Raises RunError where the data have changed."""
    dataset, split = split_of_run(run, download=download, beside=world.beside)
    return Material(run, dataset, split, choose_machine(run.settings.device, run.precision, world))


def is_longer(run: Run) -> bool:
    """Whether a run that goes on is to have more epochs than its config.json says."""
    return bool(RUN.config(run.folder)["settings"]["epochs"] < run.settings.epochs)


def keep_length(run: Run, observer: Observer) -> None:
    """Write into config.json how long the run has become, where it has, and say so.

    It is no longer finished. Its report goes first, so that a process killed in between leaves a run that lacks its
    report alone.
    """
    if not is_longer(run):
        return
    (run.folder / "report.json").unlink(missing_ok=True)
    config = RUN.config(run.folder)
    config["settings"]["epochs"] = run.settings.epochs
    config["lengthened"] = run.lengthened
    write_json(run.folder / "config.json", sealed(config) if run.sealed else config)
    (until, before), epochs, course = run.lengthened[-1], run.settings.epochs, course_of(run)
    begins = [f"learning rate {course.rate(until):.3g}"]
    if course.phases > 1:
        begins.append(f"phase {course.phase(until) + 1} of {course.phases}")
    observer.note(
        f"run '{run.folder}' had {before} epochs and now has {epochs}; from epoch {until + 1} on "
        f"it follows the schedule of {epochs} ({', '.join(begins)})"
    )
