"""Beginning a run in a folder of its own, or taking one up again, also to make it longer than it was meant to be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.bounds import check_number, shown
from foldnet.data.dataset import Dataset
from foldnet.data.sources import Digits, source_type
from foldnet.data.tasks import TASKS
from foldnet.errors import OutputError, RunError, SettingError, check_known
from foldnet.sharing.share import banks_of
from foldnet.store.artifact import CHECKPOINTS, RUN, refuse_linked
from foldnet.store.files import new_folder, numbered_folder, refuse_link, refuse_unnamed, write_json
from foldnet.store.lock import Lock, remove_leftovers, take_lock
from foldnet.store.seals import sealed
from foldnet.training.checkpoint import save_coefficients
from foldnet.training.machine import World, choose_machine
from foldnet.training.observer import Observer
from foldnet.training.recorder import Recorder, coefficients
from foldnet.training.runs import Run, create_run, default_name, newest_run, open_run
from foldnet.training.session import Material, Session, course_of, session_of, split_of, split_of_run
from foldnet.training.settings import TrainSettings, flat, read_toml, train_settings
from foldnet.zoo.blueprint import Blueprint, blueprint
from foldnet.zoo.families import family_of, is_soft, published
from foldnet.zoo.family import short_name

if TYPE_CHECKING:
    from foldnet.training.origin import Origin

RECALL = "-recall"
FREE_TO_CHANGE = ("device", "data_dir")  # a resumed run may move to another machine


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a training: settings as they were given, on top of those of a TOML file, with `recall` the
    network in which every step sees the input again; what may happen in the place of the run; by which processes; and
    the fold that it is to be `like`.
    """

    given: Mapping[str, Any]
    config: Path | None
    recall: bool
    resume: bool
    force: int
    download: bool
    world: World
    origin: Origin | None = None

    def place(self, out: Path | str | None) -> Path | None:
        """The folder that is asked for; None for a new one. With `resume` it is by default the newest run.

        Raises SettingError for a contradiction, RunError for a folder that holds something else than a run.
        """
        if self.resume and self.force:
            raise SettingError("`resume=True` and `force=True` contradict each other; give one of them")
        if out is None:
            with suppress(RunError):
                return newest_run() if self.resume else None
            return None
        folder = Path(out)
        remove_leftovers(folder.parent)
        if self.resume and folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
            raise RunError(f"'{folder}' is not a run folder and not empty; give `out` another name")
        return folder

    def settings(self) -> TrainSettings:
        """Those of a new run. Raises what `train_settings` raises."""
        if self.origin is not None:
            if self.recall:
                raise SettingError(
                    f"`recall=True` and `{self.origin.keyword}` contradict each other; leave one of them out"
                )
            return train_settings(self.origin.settings_with(self._chosen()))
        given = dict(self.given)
        if self.recall:
            chosen = self._chosen()
            usual = source_type(chosen.get("dataset", Digits.name)).arch
            given["arch"] = _recalling(chosen.get("arch") or usual)
        return train_settings(given, file=self.config)

    def begin(self, folder: Path | None) -> tuple[Material, Session, Lock]:
        """Make the folder of a new run, whose only writer this process is then, and prepare it. What can be wrong is
        found before."""
        settings, check = self.settings(), None
        if folder is not None:
            refuse_unnamed(folder)
            if folder.exists():
                _check_place(folder, self)
                check = partial(RUN.check_replaceable, opened=open_run, force=self.force)
                check(folder)
        machine = choose_machine(settings.device, settings.precision, self.world)
        dataset, split = split_of(settings, self.download, beside=self.world.beside)
        network, origin = blueprint_for(settings, dataset), self.origin
        facts: Mapping[str, Any] = {}
        if origin is not None:
            network, facts = replace(network, ties=origin.ties, groups=origin.groups), origin.facts
        place = folder or default_name(settings, "-tied" if network.ties else "")
        run = Run(place, settings, network, machine.precision, split.hash, scaling=dataset.scaling)
        material = Material(run, dataset, split, machine)
        run, session = session_of(material, new=True)
        if origin is not None:
            origin.fill(session.model, settings.arch)
        with ExitStack() as stack:
            if folder is None:
                temporary, folder = stack.enter_context(numbered_folder(place))
            else:
                if (folder / "config.json").is_file():
                    stack.enter_context(closing(take_lock(folder)))
                # Nothing is replaced that was not there before: two trainings may be started at one time.
                temporary = stack.enter_context(new_folder(folder, check=check))
            run = create_run(temporary, replace(run, folder=folder), machine.about(), facts)
            if banks_of(session.model):
                save_coefficients(temporary, coefficients(session.model, {}))
            if (
                origin is not None and origin.weights is not None
            ):  # or a run that is killed before its first epoch would go on without them
                Recorder(replace(run, folder=temporary), session).within_epoch(session.start.under_way)
            lock = take_lock(temporary)
        lock.folder = folder
        return replace(material, run=run), session, lock

    def take_up(self, folder: Path) -> Run:
        """The run in a folder as it goes on: what may change does, and more epochs make it longer (`keep_length` writes
        that).

        Raises SettingError and UnknownName for anything else that is asked, OutputError where the run lies behind a
        link in another, and what `open_run` raises.
        """
        run = open_run(folder)
        refuse_linked(folder)
        wanted, stored, arch = self._chosen(), flat(run.settings), run.settings.arch
        if self.recall and not arch.endswith(RECALL):
            raise SettingError(
                f"`recall=True` contradicts run '{folder}', which trains '{arch}'; leave it out, or start another run"
            )
        if self.origin is not None:
            self.origin.check_resumed(run)
        if self.recall and "arch" in wanted:
            wanted["arch"] = _recalling(wanted["arch"])
        changes = {key: value for key, value in wanted.items() if value != stored.get(key)}
        check_known(changes, stored, lambda key: f"setting '{key}' does not exist")
        for key, value in changes.items():
            if key in FREE_TO_CHANGE:
                continue
            has = f"was started with {stored[key]}"
            if key == "epochs":
                check_number("epochs", value)
                if value > stored[key]:
                    continue
                has = f"has {stored[key]} epochs and can only be given more"  # they followed the schedule of its length
            said = f"`{key}={value!r}`" if key in self.given else f"'{self.config}' with {key} = {value}"
            raise SettingError(
                f"{said} contradicts run '{folder}', which {has}; leave it out, or start another run with `out`"
            )
        return replace(run, settings=replace(run.settings, **changes))

    def material(self, run: Run) -> Material:
        """What a run goes on with, on the machine it is to move to. Raises RunError where the data have changed."""
        world = self.world
        # The first process has downloaded what is missing by the time that the others look.
        dataset, split = split_of_run(run, download=self.download and world.writes, beside=world.beside)
        return Material(run, dataset, split, choose_machine(run.settings.device, run.precision, world))

    def _chosen(self) -> dict[str, Any]:
        """The settings by name, wherever they come from."""
        chosen = (read_toml(self.config) if self.config is not None else {}) | dict(self.given)
        if isinstance(chosen.get("arch"), str):
            chosen["arch"] = short_name(chosen["arch"])
        return chosen


def _check_place(folder: Path, wanted: Wanted) -> None:
    """Raise OutputError where a new run may not take the place of what exists there, whatever it is."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if not empty and not (folder / "config.json").is_file():
        raise OutputError(f"'{folder}' exists already and is not a run folder; give `out` another name")
    if not (wanted.force or (wanted.resume and empty)):
        raise OutputError(
            f"'{folder}' exists already; continue it with `resume=True`, replace it with `force=True`, or change `out`"
        )


def _recalling(arch: Any) -> str:
    """The name of the network in which every step sees the input again. Raises SettingError for one without steps."""
    name = f"{arch}".removesuffix(RECALL)
    family, _ = family_of(name)
    if family is None:
        return name  # which the blueprint refuses by the name that was given
    if "recall" not in family.flags:
        raise SettingError(f"`recall=True` has no place in '{shown(name)}'; leave it out")
    return name + RECALL


def clear_leftovers(folder: Path) -> None:
    """Remove what killed commands were in the middle of writing into a run. Raises OutputError for linked
    checkpoints."""
    for name in CHECKPOINTS:
        refuse_link(folder / name)
    for place in (folder, *(folder / name for name in CHECKPOINTS)):
        remove_leftovers(place)


def blueprint_for(settings: TrainSettings, dataset: Dataset) -> Blueprint:
    """The network that the settings name, for what the dataset has. Raises UnknownName, SettingError where it answers
    for something else or does not run."""
    shape: dict[str, Any] = {"classes": len(dataset.classes), "channels": dataset.channels, "size": dataset.size}
    built = blueprint(settings.arch, **shape, **settings.named)
    wanted = next(name for name, task in TASKS.items() if task == dataset.task)
    if wanted in built.family.also:
        built = replace(built, asked=wanted)
    if built.task != wanted:
        known = map(blueprint, filter(is_soft, published()))
        soft = next(one for one in known if wanted in (one.task, *one.family.also))
        raise SettingError(
            f"`arch={built.arch!r}` answers for {built.task} and {dataset.name} asks for {wanted}; "
            f"choose one such as {soft.arch} or {soft.plain.arch}"
        )
    if built.family.outside:
        from foldnet.zoo.answering import check_answers

        check_answers(built)
    return built


def is_longer(run: Run) -> bool:
    """Whether a run that goes on is to have more epochs than its config.json says."""
    return bool(RUN.config(run.folder)["settings"]["epochs"] < run.settings.epochs)


def is_finished(run: Run) -> bool:
    """Whether a run has come to its end, and is not to go further now."""
    return (run.folder / "report.json").is_file() and not is_longer(run)


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
