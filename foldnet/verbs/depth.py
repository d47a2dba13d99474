"""The depth dial turned: how good a folded network is when one of its loops runs more or less often."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldnet.bounds import check_number
from foldnet.errors import NothingToFold
from foldnet.folding.folds import open_fold
from foldnet.folding.origin import run_of_fold
from foldnet.folding.recalibrate import recalibrate
from foldnet.program.trips import loops_of
from foldnet.show.report import Report
from foldnet.training.evaluate import evaluate
from foldnet.training.loading import loader_of, split_of_run, training_loader
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.verbs.evaluate import BATCH, fold_folder

Curve = tuple[tuple[int, float], ...]  # (trips, accuracy)
FURTHER = 2  # a loop is run up to this many times as often as it was found


@dataclass(frozen=True, slots=True)
class LoopDepth:
    """One loop: how often it was found to run, and test accuracy by trips, as it is and with batch norm estimated anew.

    The same with every change of the state damped by found / trips; empty where the loop runs single layers, which add to none.
    """

    name: str
    found: int
    accuracy: Curve
    recalibrated: Curve
    damped: Curve = ()
    damped_recalibrated: Curve = ()

    def curves(self) -> dict[str, Curve]:
        """What was measured, by its name in JSON."""
        return {name: getattr(self, name) for name in ("accuracy", "recalibrated", "damped", "damped_recalibrated")}


@dataclass(frozen=True, slots=True)
class DepthReport(Report):
    """Accuracy against trips for every loop, the other loops as found."""

    fold: str
    arch: str
    images: int
    loops: tuple[LoopDepth, ...]
    measure: str = "accuracy"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "fold": self.fold,
            "arch": self.arch,
            "images": self.images,
            "measure": self.measure,
            "loops": [
                {"name": loop.name, "found": loop.found}
                | {name: [{"steps": t, "accuracy": a} for t, a in curve] for name, curve in loop.curves().items()}
                for loop in self.loops
            ],
        }


def depth(
    path: Path | str | None = None,
    *,
    most: int | None = None,
    run: Path | str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> DepthReport:
    """Test accuracy of a fold (default: the newest of the newest run) for 0 to `most` trips through each loop, in fp32: as it is,
    recalibrated, damped, and both.

    `most` is twice what was found where it is not given; `run` names the run of a fold that does not lie inside it. Nothing is chosen
    by these numbers.
    Raises NothingToFold for a fold without loops, SettingError for fewer than one trip, RunError, DataError.
    """
    if most is not None:
        check_number("most", most)
    observer = observer or Silent()
    folder = fold_folder(Path(path) if path is not None else None)
    fold = open_fold(folder)
    loops = loops_of(fold.program)
    if not loops:
        raise NothingToFold(
            f"fold '{folder}' has no loop to turn; fold it at a lower `threshold`, or with `unit='block'`"
        )
    origin = run_of_fold(fold, run)
    machine = choose_machine(device, "fp32")
    dataset, split = split_of_run(origin, data_dir)
    test = loader_of(dataset, split.test, BATCH, machine)
    train = training_loader(dataset, split.train, origin.settings, machine, BATCH)

    def accuracy(loop: str, trips: int, anew: bool, damped: bool) -> float:
        looped = fold.load().to(machine.device)
        looped.set_trips({loop: trips}, own_steps=anew, damped=damped)
        if anew:
            recalibrate(looped, train, machine)
        observer.advance()
        return evaluate(looped, test, machine).accuracy

    tried = {name: range((most or FURTHER * found) + 1) for name, found in loops.items()}
    structure = fold.load()
    able = [name for name in loops if structure.can_be_damped(name)]
    # Without trips, and with those found, damping changes nothing.
    turned = {name: [trips for trips in tried[name] if trips not in (0, loops[name])] for name in able}
    observer.begin("depth", 2 * sum(map(len, tried.values())) + 2 * sum(map(len, turned.values())))
    measured = []
    for name, found in loops.items():
        plain, damped = ([{t: accuracy(name, t, anew, False) for t in tried[name]} for anew in (False, True)], [])
        if name in able:
            damped = [
                known | {t: accuracy(name, t, anew, True) for t in turned[name]}
                for anew, known in zip((False, True), plain, strict=True)
            ]
        measured.append(LoopDepth(name, found, *(tuple(curve.items()) for curve in (*plain, *damped))))
    observer.end()
    return DepthReport(str(folder), fold.arch, test.images, tuple(measured), dataset.task.measure)
