"""foldnet train: from settings to a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.data.batches import Batches
from foldnet.data.dataset import Dataset, Split
from foldnet.data.phases import first_epochs
from foldnet.errors import ProcessLost, SettingError
from foldnet.show.progress import watched
from foldnet.store.artifact import sealed
from foldnet.store.files import write_json
from foldnet.store.leftovers import remove_leftovers
from foldnet.store.lock import take_lock
from foldnet.training.begin import (
    begin_run,
    data_of,
    folder_to_resume,
    take_up,
    with_recall,
)
from foldnet.training.evaluate import evaluate
from foldnet.training.journal import Progress
from foldnet.training.lengthen import is_longer, keep_length
from foldnet.training.loading import loader_of
from foldnet.training.loop import fit
from foldnet.training.machine import Machine, choose_machine, exact_fp32
from foldnet.training.observer import Observer, Silent, Stopped
from foldnet.training.recorder import EVERY, FOLDER, Board, Recorder, check_every
from foldnet.training.runs import Run, clear_leftovers, open_run
from foldnet.training.session import Session, session_of
from foldnet.training.settings import train_settings
from foldnet.training.world import ALONE, Agreement, Interruptible, World
from foldnet.typed import checked
from foldnet.verbs.train_report import TrainReport, pairs_of, read_report


@watched
@checked
def train(
    *,
    out: Path | str | None = None,
    resume: bool = False,
    force: int | bool = False,
    download: bool = False,
    config: Path | None = None,
    observer: Observer | None = None,
    checkpoint_every: float = EVERY,
    world: World = ALONE,
    tensorboard: bool = False,
    recall: bool = False,
    **given: Any,
) -> TrainReport:
    """Train a network and write its run folder; the keywords are the fields of TrainSettings, `recall` that form of the
    network.

    What is not given comes from the TOML file `config`, then from the preset of dataset and architecture. The test set
    is read once, at the end, with the weights of the last epoch, in fp32. With `resume` a stopped run goes on from its
    last checkpoint, as if it had never stopped; a finished one gives its report again. With `resume` and more `epochs`
    than the run has, it becomes longer: what is trained stays, and the next epoch on follows the schedule of the longer
    run. Checkpoints are made at the end of epochs, at most every `checkpoint_every` seconds, within very long epochs,
    and where the observer wants the end (Stopped is raised). With `force` a run that is at `out` already is replaced,
    with 2 also one that holds folds and notes. With `tensorboard` the epochs' numbers are written for TensorBoard too.
    Of several processes (`world`) the first alone writes; each takes its part of every batch.

    Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given (Silent:
    none). Raises SettingError and UnknownName for bad settings, DataError, RunError (also where another process writes
    into the run), OutputError, TrainingDiverged, ProcessLost, and MissingTool where `tensorboard` is not installed.
    """
    observer = observer or Silent()
    asked = {key: value for key, value in given.items() if value is not None}
    if not world.writes:
        return _follow(asked, config, recall, observer, checkpoint_every, world)
    try:
        check_every(checkpoint_every)
        if tensorboard:
            observer = Board(observer)
        folder = _place(out, resume, force)
        if resume and folder is not None and (folder / "config.json").is_file():
            run = take_up(open_run(folder), asked, config, recall)
            if _finished(run):
                world.tell("run", {"folder": str(folder)})
                return read_report(folder)
            dataset, split = data_of(run, download, world)
            session, lock = None, take_lock(folder)
        else:
            if recall:
                asked["arch"] = with_recall(asked, config)
            settings = train_settings(asked, file=config)
            run, dataset, split, session, lock = begin_run(settings, folder, resume, force, download, world)
    except BaseException:
        world.tell("run", {"folder": None})
        raise
    with closing(lock):
        world.tell("run", {"folder": str(run.folder)})
        clear_leftovers(run.folder)
        with _saying_how_to_go_on(run.folder):
            return _train_on(run, dataset, split, session, observer, checkpoint_every, world)


def _place(out: Path | str | None, resume: bool, force: int) -> Path | None:
    """The folder that is asked for, or that is to be resumed; None for a new one."""
    folder = Path(out) if out is not None else None
    if folder is not None:
        remove_leftovers(folder.parent)
    if resume and force:
        raise SettingError("`resume=True` and `force=True` contradict each other; give one of them")
    return folder_to_resume(folder) if resume else folder


@contextmanager
def _saying_how_to_go_on(folder: Path) -> Iterator[None]:
    """Ctrl-C, which says nothing by itself, with the way on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            raise
        raise KeyboardInterrupt(
            "interrupted; go on from the last checkpoint, if any, with `foldnet.train(resume=True, "
            f"out={str(folder)!r})`"
        ) from None


def _follow(
    asked: Mapping[str, Any], config: Path | None, recall: bool, observer: Observer, every: float, world: World
) -> TrainReport:
    """Take part in what process 0 began or goes on with."""
    folder = world.hear("run")["folder"]
    if folder is None:
        raise ProcessLost("process 0 could not begin; it says why", told=True)
    run = take_up(open_run(Path(folder)), asked, config, recall)
    if _finished(run):
        return read_report(run.folder)
    return _train_on(run, *data_of(run, False, world), None, observer, every, world)


def _finished(run: Run) -> bool:
    """Whether a run has come to its end, and is not to go further now."""
    return (run.folder / "report.json").is_file() and not is_longer(run)


def _train_on(
    run: Run,
    dataset: Dataset,
    split: Split,
    session: Session | None,
    observer: Observer,
    every: float,
    world: World,
) -> TrainReport:
    """Train to the end, and read the test set; a run that was not just begun is prepared from where its checkpoint
    stands."""
    settings = run.settings
    if session is None:
        machine = choose_machine(settings.device, run.precision, world)
        run, session = session_of(run, dataset, split, machine)
    machine, start = session.machine, session.start
    if world.writes and (run.folder / FOLDER).is_dir() and not isinstance(observer, Board):
        observer = Board(observer)  # as the run began
    if isinstance(observer, Board):
        observer.open(run.folder, start.epoch)
    recorder = Recorder(
        run.folder,
        session.model,
        session.optimiser,
        start,
        epochs=settings.epochs,
        every=every,
        writes=world.writes,
        identity=run.identity,
        restarts=first_epochs(settings.epochs, len(split.phases), run.lengthened),
        task=dataset.task,
    )
    if world.writes:
        keep_length(run, session.course, len(split.phases), observer)
    try:
        fit(session, observer=observer, journal=recorder)
        agreement = Agreement(world)
        test = loader_of(dataset, split.test, settings.batch_size, machine)
        with exact_fp32(machine):
            report = _report(run, session.model, recorder, test, machine, Interruptible(observer, agreement))
        agreement.close()
    except torch.OutOfMemoryError:
        raise SettingError(
            f"`batch_size={settings.batch_size}` needs more memory than '{machine.device}' has free; give less"
        ) from None
    except Stopped:
        raise Stopped(_where_stopped(run.folder, recorder.progress)) from None
    if world.writes:
        write_json(run.folder / "report.json", sealed(report.to_json() | {"identity": run.identity}))
    return report


def _where_stopped(folder: Path, progress: Progress) -> str:
    """What is said of a training that was stopped and saved."""
    steps = progress.under_way.step
    where = f"after step {steps} of epoch {progress.epoch + 1}" if steps else f"after epoch {progress.epoch}"
    return f"stopped {where}, all of it saved; go on with `foldnet.train(resume=True, out={str(folder)!r})`"


def _report(
    run: Run, model: nn.Module, recorder: Recorder, test: Batches, machine: Machine, observer: Observer
) -> TrainReport:
    """Read the test set once, in fp32, and say how it went."""
    score = evaluate(model, test, replace(machine, precision="fp32"), observer)
    speeds = [line["images_per_second"] for line in recorder.metrics]
    settings, progress = run.settings, recorder.progress
    return TrainReport(
        run=str(run.folder),
        dataset=settings.dataset,
        arch=settings.arch,
        seed=settings.seed,
        epochs=progress.epoch,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        score=score.value,
        test_accuracy=score.accuracy,
        test_right=score.right,
        test_images=score.images,
        best_score=progress.best_score,
        best_validation_accuracy=progress.best_score if test.task.share else None,
        best_epoch=progress.best_epoch,
        precision=run.precision,
        device=str(machine.device),
        seconds=progress.seconds,
        images_per_second=sorted(speeds)[len(speeds) // 2],
        task=test.task,
        lengthened=pairs_of(run),
    )
