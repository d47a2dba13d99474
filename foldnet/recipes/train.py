"""foldnet train: from settings to a run folder."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.config import TrainSettings, default_arch, read_toml, to_json, train_settings
from foldnet.data.batches import Batches
from foldnet.data.dataset import Dataset, Split
from foldnet.data.phases import first_epochs
from foldnet.data.tasks import Task
from foldnet.errors import OutputError, ProcessLost, RunError, SettingError, UnknownName, nearest
from foldnet.files import new_folder, read_json, write_json
from foldnet.lock import Lock, take_lock
from foldnet.recipes.loading import check_answers, loader_of, split_of, training_batches
from foldnet.recipes.recorder import EVERY, Recorder, coefficients
from foldnet.runs import Run, create_run, default_name, newest_run, open_run, remove_leftovers, save_coefficients
from foldnet.training.checkpoint import FILE, load_model, load_optimiser
from foldnet.training.compile import choose_compilation
from foldnet.training.evaluate import evaluate
from foldnet.training.loop import Course, Objective, fit
from foldnet.training.machine import Machine, choose_machine, seeded
from foldnet.training.observer import Interruptible, Observer, Silent, Stopped
from foldnet.training.optimiser import build_optimiser
from foldnet.training.parallel import synchronise_norms
from foldnet.training.progress import BEGINNING, Progress
from foldnet.training.progressive import progressive_loss
from foldnet.training.recurrence import banks_of
from foldnet.training.tensorboard import Board
from foldnet.training.world import ALONE, World
from foldnet.zoo.names import RECALL

FREE_TO_CHANGE = ("device", "data_dir", "compile")  # a resumed run may move to another machine


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What `foldnet train` says. Accuracies 0..1, in the data's own `measure`; `test_right` counts what was answered wholly right,
    `seconds` are those of training, without the final test.
    """

    run: str
    dataset: str
    arch: str
    seed: int
    epochs: int
    parameters: int
    test_accuracy: float
    test_right: int
    test_images: int
    best_validation_accuracy: float | None
    best_epoch: int | None
    precision: str
    device: str
    seconds: float
    images_per_second: float
    measure: str = "accuracy"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def train(
    *,
    out: Path | str | None = None,
    resume: bool = False,
    force: bool = False,
    download: bool = False,
    config: Path | None = None,
    observer: Observer | None = None,
    checkpoint_every: float = EVERY,
    world: World = ALONE,
    tensorboard: bool = False,
    recall: bool = False,
    **given: Any,
) -> TrainReport:
    """Train a network and write its run folder; the keywords are the fields of TrainSettings, `recall` that form of the network.

    What is not given comes from the TOML file `config`, then from the preset of dataset and architecture. The test set is
    read once, at the end, with the weights of the last epoch, in fp32. With `resume` a stopped run goes on from its last
    checkpoint, as if it had never stopped; a finished one gives its report again. Checkpoints are made at the end of epochs, at
    most every `checkpoint_every` seconds, within very long epochs, and where the observer wants the end (Stopped is raised).
    With `tensorboard` the epochs' numbers are written for TensorBoard too. Of several processes (`world`) the first alone writes;
    each takes its part of every batch.

    Raises SettingError and UnknownName for bad settings, DataError, RunError (also where another process writes into the run),
    OutputError, TrainingDiverged, ProcessLost, and MissingTool where `tensorboard` is not installed.
    """
    observer = observer or Silent()
    if tensorboard and world.writes:
        observer = Board(observer)
    if recall:
        given["arch"] = _with_recall(given, config)
    asked = {key: value for key, value in given.items() if value is not None}
    if not world.writes:
        return _follow(asked, config, observer, checkpoint_every, world)
    folder = Path(out) if out is not None else None
    try:
        if resume:
            folder = _folder_to_resume(folder)
        if resume and folder is not None and (folder / "config.json").is_file():
            run = _resumed(open_run(folder), asked, config)
            if _finished(folder):
                world.tell("run", {"folder": str(folder)})
                return read_report(folder)
            data, lock = _data_of(run, download), take_lock(folder)
        else:
            run, data, lock = _begin(train_settings(given, file=config), folder, resume, force, download)
    except BaseException:
        world.tell("run", {"folder": None})
        raise
    with closing(lock):
        world.tell("run", {"folder": str(run.folder)})
        remove_leftovers(run.folder)
        return _train_on(run, *data, observer, checkpoint_every, world)


def _follow(
    asked: Mapping[str, Any], config: Path | None, observer: Observer, every: float, world: World
) -> TrainReport:
    """Take part in what process 0 began or goes on with."""
    folder = world.hear("run")["folder"]
    if folder is None:
        raise ProcessLost("process 0 could not begin; it says why", told=True)
    if _finished(Path(folder)):
        return read_report(Path(folder))
    run = _resumed(open_run(Path(folder)), asked, config)
    return _train_on(run, *_data_of(run, False), observer, every, world)


def _with_recall(given: Mapping[str, Any], config: Path | None) -> str:
    """The name of the network in which every step sees the input again."""
    chosen = (read_toml(config) if config is not None else {}) | {k: v for k, v in given.items() if v is not None}
    arch = str(chosen.get("arch") or default_arch(chosen.get("dataset", "")))
    return arch if arch.endswith(RECALL) else arch + RECALL


def _check_place(folder: Path, *, resume: bool, force: bool) -> None:
    """Raise OutputError where a new run may not take the place of what exists there."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if empty and (resume or force):
        return
    if not empty and not (folder / "config.json").is_file():
        raise OutputError(f"'{folder}' exists already and is not a run folder; give --out another name")
    if not force:
        raise OutputError(
            f"'{folder}' exists already; continue it with --resume, replace it with --force, or change --out"
        )


def _begin(
    settings: TrainSettings, folder: Path | None, resume: bool, force: bool, download: bool
) -> tuple[Run, tuple[Dataset, Split], Lock]:
    """Make the folder of a new run, whose only writer this process is then."""
    replaces = folder is not None and folder.exists()
    if folder is not None and replaces:
        _check_place(folder, resume=resume, force=force)
    machine = choose_machine(settings.device, settings.precision)
    dataset, split = split_of(settings, download)
    check_answers(dataset, settings.arch)
    # Named late, and nothing is replaced that was not there before: two trainings may be started at one time.
    folder = folder or default_name(settings)
    run = Run(folder, settings, len(dataset.classes), dataset.channels, dataset.size, machine.precision, split.hash)
    model = _initial_network(run)
    with ExitStack() as old, new_folder(folder, force=replaces) as temporary:
        if (folder / "config.json").is_file():
            old.enter_context(closing(take_lock(folder)))
        create_run(temporary, run, about_machine(machine))
        if banks_of(model):
            save_coefficients(temporary, coefficients(model, {}))
        lock = take_lock(temporary)
    lock.folder = folder
    return run, (dataset, split), lock


def _resumed(run: Run, asked: Mapping[str, Any], config: Path | None) -> Run:
    """The run as it goes on: what may change does. Raises SettingError and UnknownName for anything else that is asked."""
    wanted = (read_toml(config) if config is not None else {}) | dict(asked)
    stored = to_json(run.settings)
    changes = {key: value for key, value in wanted.items() if value != stored.get(key)}
    for key, value in changes.items():
        if key not in stored:
            raise UnknownName(f"setting '{key}' does not exist{nearest(key, stored)}")
        if key not in FREE_TO_CHANGE:
            option = "--" + key.replace("_", "-")
            raise SettingError(
                f"{option} {value} contradicts run '{run.folder}', which was started with {stored.get(key)}; "
                f"leave it out, or start another run with --out"
            )
    return replace(run, settings=replace(run.settings, **changes))


def _data_of(run: Run, download: bool) -> tuple[Dataset, Split]:
    """The data that a run goes on with. Raises RunError where they have changed."""
    dataset, split = split_of(run.settings, download)
    if split.hash != run.split_hash:
        raise RunError(
            f"the training data are not those that run '{run.folder}' was started with (their hash differs); "
            f"restore them or start another run"
        )
    return dataset, split


def _finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return (folder / "report.json").is_file()


def _train_on(run: Run, dataset: Dataset, split: Split, observer: Observer, every: float, world: World) -> TrainReport:
    """Train from where the run's checkpoint stands, or from the beginning, to the end, and read the test set."""
    settings = run.settings
    machine = choose_machine(settings.device, run.precision, world)
    model = _initial_network(run)
    progress = load_model(run.folder / "last", model) if (run.folder / "last" / FILE).is_file() else BEGINNING
    model.to(machine.device)
    if settings.sync_bn:
        model = synchronise_norms(model, machine)
    optimiser = build_optimiser(
        model,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        kind=settings.optimiser,
    )
    if progress != BEGINNING:
        load_optimiser(run.folder / "last", model, optimiser)
    if isinstance(observer, Board):
        observer.open(run.folder, progress.epoch)
    recorder = Recorder(
        run.folder,
        model,
        optimiser,
        progress,
        epochs=settings.epochs,
        every=every,
        writes=world.writes,
        restarts=first_epochs(settings.epochs, len(split.phases)),
    )
    batches, validation = training_batches(dataset, split, settings, machine)
    try:
        fit(
            model,
            optimiser,
            batches,
            validation,
            machine,
            course_of(settings, dataset.task, model, machine),
            observer=observer,
            journal=recorder,
            start=progress,
            compilation=choose_compilation(settings.compile, machine),
        )
        watching = Interruptible(observer) if world.alone else observer
        test = loader_of(dataset, split.test, settings.batch_size, machine)
        report = _report(run, model, recorder, test, machine, watching)
    except Stopped:
        raise Stopped(_where_stopped(run.folder, recorder.progress)) from None
    if world.writes:
        write_json(run.folder / "report.json", report.to_json())
    return report


def _where_stopped(folder: Path, progress: Progress) -> str:
    """What is said of a training that was stopped and saved."""
    steps = progress.under_way.step
    where = f"after step {steps} of epoch {progress.epoch + 1}" if steps else f"after epoch {progress.epoch}"
    return f"stopped {where}, all of it saved; go on with `foldnet train --resume --out {folder}`"


def course_of(settings: TrainSettings, task: Task, model: nn.Module, machine: Machine) -> Course:
    """What the settings say of the loop in which `model` is trained."""
    loss = progressive_loss(model, task, machine, settings.progressive) if settings.progressive else None
    objective = Objective(settings.recurrence, settings.recurrence_form, task, loss)
    return Course(settings.epochs, settings.lr, settings.seed, settings.schedule, objective)


def read_report(folder: Path) -> TrainReport:
    """The report of a finished run. Raises RunError where it is damaged."""
    try:
        return TrainReport(**(read_json(folder / "report.json") | {"run": str(folder)}))
    except TypeError as error:
        raise RunError(f"'{folder / 'report.json'}' is not a training report ({error}); restore it") from None


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


def _folder_to_resume(folder: Path | None) -> Path | None:
    """The folder named, else the newest run; None where there is nothing to resume yet."""
    if folder is not None:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
            raise RunError(f"'{folder}' is not a run folder and not empty; give --out another name")
        return folder
    try:
        return newest_run()
    except RunError:
        return None


def _initial_network(run: Run) -> nn.Module:
    """The network as the seed makes it; the process's own random state stays untouched."""
    with seeded(run.settings.seed, torch.device("cpu")):
        return run.network()


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
        test_accuracy=score.accuracy,
        test_right=score.right,
        test_images=score.images,
        best_validation_accuracy=progress.best_accuracy,
        best_epoch=progress.best_epoch,
        precision=run.precision,
        device=str(machine.device),
        seconds=progress.seconds,
        images_per_second=sorted(speeds)[len(speeds) // 2],
        measure=test.task.measure,
    )
