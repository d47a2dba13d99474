"""foldnet evaluate: how good a run or a fold is on the test set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.errors import SettingError
from foldnet.folding.folds import load_fold, newest_fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.origin import run_of_fold
from foldnet.folding.recalibrate import recalibrate
from foldnet.show.progress import watched
from foldnet.show.report import Report
from foldnet.store.reading import read_json
from foldnet.training.by_length import LengthScore, OtherGrids, other_grids, score_by_length
from foldnet.training.loading import loader_of, split_of_run, training_loader
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer
from foldnet.training.runs import Run, newest_run, open_run
from foldnet.typed import checked

BATCH = 128


@dataclass(frozen=True, slots=True)
class EvaluateReport(Report):
    """What `foldnet evaluate` says: test accuracy 0..1, in the data's `measure`, with the count of what is wholly right, and the
    speed of this evaluation. Of grids also `whole`, the share that is wholly right, and both by the length of the path.
    """

    path: str
    form: str
    steps: dict[str, int]
    recalibrated: bool
    accuracy: float
    right: int
    images: int
    loss: float
    parameters: int
    precision: str
    device: str
    seconds: float
    images_per_second: float
    measure: str = "accuracy"
    data: str = ""
    whole: float | None = None
    by_length: tuple[LengthScore, ...] = ()
    damped: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"by_length": [part.to_json() for part in self.by_length]}


@watched
@checked
def evaluate(
    path: Path | str | None = None,
    *,
    checkpoint: str = "last",
    run: Path | str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch_size: int = BATCH,
    steps: Mapping[str, int] | None = None,
    recalibrated: bool = False,
    damped: bool = False,
    observer: Observer | None = None,
    grids: OtherGrids | None = None,
) -> EvaluateReport:
    """Score a run's network or a fold's looped one (default: the newest run) on the test set, or on other `grids`.

    fp32 by default, so that the forms of one network can be compared to the last image. `steps` lets loops of a fold run
    another number of times, {"stage2.loop1": 5}, or 0 times, which leaves it out; with `recalibrated` batch norm is estimated anew on
    training images, and further trips get statistics of their own; with `damped` a loop that was found with T trips and runs T' adds
    T / T' of what each of its blocks would add. Nothing is written.
    `grids` are for networks that answer for cells alone. `run` names the run of a fold that does not lie inside it.
    Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given (Silent: none).
    Raises RunError, DataError, SettingError, and UnknownName for a loop that is not there.
    """
    folder = Path(path) if path is not None else newest_run()
    model, origin, form = open_network(folder, checkpoint, run)
    machine = choose_machine(device, precision)
    if damped and not steps:
        raise SettingError("`damped=True` scales loops that run another number of times than found; give `steps` too")
    if steps:
        turn_dial(model, folder, steps, own_steps=recalibrated, damped=damped)
    model.to(machine.device)
    dataset, data = other_grids(origin, grids) if grids is not None else (split_of_run(origin, data_dir)[0], "")
    loader = loader_of(dataset, dataset.test, batch_size, machine)
    if recalibrated:
        own, split = split_of_run(origin, data_dir)
        train = training_loader(own, split.train, origin.settings, machine, batch_size)
        recalibrate(model, train, replace(machine, precision="fp32"), observer=observer)
    score, by_length = score_by_length(model, loader, machine, dataset.test, observer)
    return EvaluateReport(
        path=str(folder),
        form=form,
        steps=dict(steps or {}),
        recalibrated=recalibrated,
        accuracy=score.accuracy,
        right=score.right,
        images=score.images,
        loss=score.loss,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        precision=machine.precision,
        device=str(machine.device),
        seconds=score.seconds,
        images_per_second=score.images_per_second,
        measure=dataset.task.measure,
        data=data or dataset.name,
        whole=score.right / score.images if by_length else None,
        by_length=by_length,
        damped=damped,
    )


def turn_dial(model: nn.Module, folder: Path, steps: Mapping[str, int], *, own_steps: bool, damped: bool) -> None:
    """Set how often the loops of a folded network run. Raises SettingError for a network that has not been folded."""
    if not isinstance(model, LoopedNetwork):
        raise SettingError(
            f"`steps` needs the loops of a fold, and '{folder}' is a run; name its fold, or make one with `foldnet.fold({str(folder)!r})`"
        )
    model.set_trips(steps, own_steps=own_steps, damped=damped)


@checked
def load(path: Path | str, *, checkpoint: str = "last") -> nn.Module:
    """The network of a run folder (soft or plain) or of a fold folder (looped), in evaluation mode on the CPU.

    Shapes: x (n, channels, h, w), normalised as its dataset is, -> logits (n, classes), or (n, h, w) of cells. Nothing in the folder can run code.
    Raises RunError where the folder is missing, empty, damaged, foreign or changed after it was written.
    """
    folder = Path(path)
    if kind_of(folder) == "fold":
        return load_fold(folder)[1]
    return open_run(folder).load(checkpoint)[0]


def open_network(folder: Path, checkpoint: str = "last", named: Path | str | None = None) -> tuple[nn.Module, Run, str]:
    """The network in a folder, the run that says which data it knows, and its form: "soft", "plain" or "looped".

    `named` is the run of a fold that does not lie inside it.
    """
    if kind_of(folder) == "fold":
        if checkpoint != "last":
            raise SettingError(f"`checkpoint={checkpoint!r}` is for runs and '{folder}' is a fold; leave it out")
        fold, looped = load_fold(folder)
        return looped, run_of_fold(fold, named), "looped"
    if named is not None:
        raise SettingError(f"`run` is for folds and '{folder}' is a run; leave it out")
    run = open_run(folder)
    return run.load(checkpoint)[0], run, "soft" if run.settings.arch.startswith("s") else "plain"


def kind_of(folder: Path) -> str:
    """ "run" or "fold", by the folder's config.json; "run" where that says nothing, for open_run to complain."""
    config = folder / "config.json"
    found = read_json(config) if config.is_file() else None
    return "fold" if isinstance(found, dict) and found.get("kind") == "fold" else "run"


def fold_folder(path: Path | None) -> Path:
    """The fold named, or the newest of the run named (of the newest run, where nothing is). Raises RunError."""
    if path is None:
        return newest_fold()
    if path.is_dir() and kind_of(path) == "run" and (path / "config.json").is_file():
        return newest_fold(path)
    return path
