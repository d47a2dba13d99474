"""foldnet train: from settings to a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from foldnet.bounds import check_number, checked
from foldnet.data.batches import Loader
from foldnet.data.sources import SOURCES
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import ProcessLost, RunError, SettingError
from foldnet.options import given_of, takes_fields
from foldnet.show.progress import watched
from foldnet.show.report import Report, Scored, Table, counted
from foldnet.store.codec import Count, Share, from_plain, read_json
from foldnet.store.files import write_json
from foldnet.store.lock import Lock, take_lock
from foldnet.store.seals import SEAL, check_sealed, sealed
from foldnet.training.begin import Wanted, clear_leftovers, is_finished, keep_length
from foldnet.training.evaluate import evaluate
from foldnet.training.loop import Agreement, fit
from foldnet.training.machine import ALONE, World
from foldnet.training.observer import Observer, Silent, Stopped
from foldnet.training.recorder import EVERY, Recorder
from foldnet.training.runs import Lengthened, Run, open_run
from foldnet.training.session import Material, Session, session_of
from foldnet.training.settings import TrainSettings
from foldnet.zoo.family import runs_code


@dataclass(frozen=True, slots=True)
class TrainReport(Scored):
    """What `foldnet train` says. `score` is the test's in the data's own `measure`; accuracies are scores that are
    shares, 0..1. `test_right` counts what was answered wholly right, `test_scored` the bytes of text that were scored;
    `seconds` are those of training, without the final test. `lengthened` is [[2, 3], ...] where the first 2 epochs are
    those of a run of 3; `tied` says that layers shared hard from the start, `templates` how many a group has at most,
    null where none are shared.
    """

    run: str
    dataset: str
    arch: str
    seed: int
    epochs: Count
    parameters: Count
    score: float
    test_accuracy: Share | None
    test_right: Count | None
    test_images: Count
    best_score: float | None
    best_validation_accuracy: Share | None
    best_epoch: Count | None
    precision: str
    device: str
    seconds: float
    images_per_second: float
    task: Task = CLASSES
    lengthened: Lengthened = ()
    tied: bool = False
    test_scored: Count | None = None
    templates: Count | None = None

    def parts(self) -> Iterator[Table]:
        """What was trained, how long it took, and how well it does."""
        after = " and ".join(str(until) for until, _ in self.lengthened)
        longer = f" (lengthened after {after})" if after else ""
        epochs = f"{counted(self.epochs, 'epoch')}{longer}"
        test = self.task.counted(self.score, self.test_images, self.test_right, self.test_scored)
        best = f"{self.task.written(self.best_score)} at epoch {self.best_epoch}"
        rows = (
            ("run", self.run),
            ("network", f"{self.arch}{', shared hard from the start' * self.tied}, {self.parameters:,} parameters"),
            ("trained", f"{epochs} on {self.dataset}, seed {self.seed}, {self.precision}"),
            ("time", f"{self.seconds:.1f} s, {self.images_per_second:,.0f} {self.task.unit}/s on {self.device}"),
            *([("best validation", best)] if self.best_score is not None else []),
            ("test", f"{test}, last epoch"),
        )
        yield Table("", (), rows)


@runs_code
@takes_fields(TrainSettings, *SOURCES.values(), preset=True, leave=("source",))
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
    like: Path | str | None = None,
    plan: Path | str | Report | None = None,
    from_run: Path | str | None = None,
    dataset: str | None = None,
    **given: Any,
) -> TrainReport:
    """Train a network and write its run folder; keywords are the fields of TrainSettings, `recall` that form of it.

    What is not given comes from the TOML file `config`, then from the preset of dataset and architecture. The test set
    is read once, at the end, with the weights of the last epoch, in fp32. With `resume` a stopped run goes on from its
    last checkpoint, as if it had never stopped; a finished one gives its report again. With `resume` and more `epochs`
    than the run has, it becomes longer: what is trained stays, and the next epoch on follows the schedule of the longer
    run. Checkpoints are made at the end of epochs, at most every `checkpoint_every` seconds, within very long epochs,
    and where the observer wants the end (Stopped is raised). With `force` a run that is at `out` already is replaced,
    with 2 also one that holds folds and notes. With `tensorboard` the epochs' numbers are written for TensorBoard too.
    Of several processes (`world`) the first alone writes; each takes its part of every batch. `like` names a fold, or a
    run for its newest: its network is trained from the start with its hard sharing, on the data and with the settings
    of its run where nothing else is given. `from_run` names a run whose weights are to be the first ones, with its
    settings likewise. `plan` is what `foldnet.plan` gave, or a file with its JSON: its groups share, however they were
    edited, in its architecture.

    Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given (Silent:
    none). Raises SettingError and UnknownName for bad settings, DataError, RunError (also where another process writes
    into the run), OutputError, TrainingDiverged, ProcessLost, and MissingTool where `tensorboard` is not installed.
    """
    observer = observer or Silent()
    own = given_of(given | {"dataset": dataset})
    origin = _origin(like=like, plan=plan, from_run=from_run)
    wanted = Wanted(own, config, recall, resume, force, download, world, origin)
    if not world.writes:
        return _follow(wanted, observer, checkpoint_every)
    try:
        check_number("checkpoint_every", checkpoint_every)
        if tensorboard:
            from foldnet.training.recorder import writer_kind

            writer_kind()
        begun = _begin(wanted, out, observer)
    except BaseException:
        world.tell_before_leaving("run", {"folder": None})
        raise
    if isinstance(begun, TrainReport):
        return begun
    with closing(begun[2]):
        return _in_its_folder(begun[0], begun[1], observer, checkpoint_every, tensorboard)


def _in_its_folder(
    material: Material, session: Session | None, observer: Observer, checkpoint_every: float, tensorboard: bool
) -> TrainReport:
    """Train in a run folder whose only writer this process is."""
    folder = material.run.folder
    material.machine.world.tell("run", {"folder": str(folder)})
    clear_leftovers(folder)
    try:
        return _train_on(material, session, observer, checkpoint_every, tensorboard)
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            raise
        raise KeyboardInterrupt(  # Ctrl-C, which says nothing by itself
            "interrupted; go on from the last checkpoint, if any, with `foldnet.train(resume=True, "
            f"out={str(folder)!r})`"
        ) from None


def _origin(**given: Any) -> Any:
    """What the network is taken from, None where nothing is named. Raises SettingError, RunError."""
    if all(value is None for value in given.values()):
        return None
    from foldnet.verbs.origins import origin_of

    return origin_of(**given)


def _begin(
    wanted: Wanted, out: Path | str | None, observer: Observer
) -> TrainReport | tuple[Material, Session | None, Lock]:
    """Begin a run or take one up, whose only writer this process is then; the report of one that is finished."""
    folder = wanted.place(out)
    if not wanted.resume or folder is None or not (folder / "config.json").is_file():
        begun = wanted.begin(folder)
        if wanted.resume:
            where = "" if folder is None else f" at '{folder}'"
            observer.note(f"nothing to go on with{where}; starting a new run")
        return begun
    run = wanted.take_up(folder)
    if is_finished(run):
        wanted.world.tell_before_leaving("run", {"folder": str(folder)})
        return read_report(folder)
    return wanted.material(run), None, take_lock(folder)


def _follow(wanted: Wanted, observer: Observer, every: float) -> TrainReport:
    """Take part in what process 0 began or goes on with."""
    folder = wanted.world.hear("run")["folder"]
    if folder is None:
        raise ProcessLost("process 0 could not begin; it says why", told=True)
    run = wanted.take_up(Path(folder))
    if is_finished(run):
        return read_report(run.folder)
    return _train_on(wanted.material(run), None, observer, every)


def _train_on(
    material: Material, session: Session | None, observer: Observer, every: float, board: bool = False
) -> TrainReport:
    """Train to the end, and read the test set; a run that was not just begun is prepared from where its checkpoint
    stands."""
    run, machine = material.run, material.machine
    if session is None:
        run, session = session_of(material)
    session = replace(session, observer=observer)
    recorder = Recorder(run, session, every=every, board=board)
    if machine.world.writes:
        keep_length(run, observer)
    try:
        fit(session, recorder)
        report = report_of(run, session, recorder, material.plain(material.split.test))
    except torch.OutOfMemoryError:
        raise SettingError(
            f"`batch_size={run.settings.batch_size}` needs more memory than '{machine.device}' has free; give less"
        ) from None
    except Stopped:
        epoch, steps = recorder.progress.epoch, recorder.progress.under_way.step
        where = f"after step {steps} of epoch {epoch + 1}" if steps else f"after epoch {epoch}"
        mend = f"go on with `foldnet.train(resume=True, out={str(run.folder)!r})`"
        raise Stopped(f"stopped {where}, all of it saved; {mend}") from None
    if machine.world.writes:
        write_json(run.folder / "report.json", sealed(report.to_json() | {"identity": run.identity}))
    return report


def report_of(run: Run, session: Session, recorder: Recorder, test: Loader) -> TrainReport:
    """Read the test set once, in fp32, and say how it went; without epochs there is no speed."""
    machine, agreement = session.machine, Agreement(session.machine.world, session.observer)
    with machine.exact_fp32():
        score = evaluate(session.model, test, machine.fp32, agreement)
    agreement.close()
    speeds = [line["images_per_second"] for line in recorder.metrics]
    settings, progress = run.settings, recorder.progress
    return TrainReport(
        run=str(run.folder),
        dataset=settings.dataset,
        arch=settings.arch,
        seed=settings.seed,
        epochs=progress.epoch,
        parameters=sum(parameter.numel() for parameter in session.model.parameters()),
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
        images_per_second=sorted(speeds)[len(speeds) // 2] if speeds else 0.0,
        task=test.task,
        lengthened=run.lengthened,
        tied=bool(run.blueprint.ties),
        test_scored=score.scored,
        templates=run.blueprint.templates,
    )


def read_report(folder: Path) -> TrainReport:
    """The report of a finished run. Raises RunError where it is damaged, changed, or another run's."""
    file = folder / "report.json"
    content, run = read_json(file), open_run(folder)
    try:
        plain = {key: value for key, value in content.items() if key not in ("identity", SEAL)}
        if "score" not in plain:  # every score was an accuracy once, and had no other name
            plain |= {"score": plain.get("test_accuracy"), "best_score": plain.get("best_validation_accuracy")}
        report = replace(from_plain(TrainReport, plain), run=str(folder), task=run.task, lengthened=run.lengthened)
        report = replace(report, templates=run.blueprint.templates)
    except (AttributeError, ValueError) as error:
        raise RunError(f"'{file}' is not a training report ({error}); restore it") from None
    if run.sealed or SEAL in content:
        check_sealed(content, file, "run")
        if content.get("identity") != run.identity:
            raise RunError(f"'{file}' is not the report of run '{folder}' but another run's; restore its own")
    return report
