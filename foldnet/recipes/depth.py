"""The depth dial turned: how good a folded network is when one of its loops runs more or less often."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldnet.bounds import check_number
from foldnet.errors import NothingToFold
from foldnet.folding.recalibrate import recalibrate
from foldnet.folding.trips import loops_of
from foldnet.folds import open_fold
from foldnet.recipes.evaluate import BATCH, fold_folder
from foldnet.recipes.loading import loader_of, split_of_run, training_loader
from foldnet.recipes.origin import run_of_fold
from foldnet.show.report import Report
from foldnet.training.evaluate import evaluate
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer, Silent

FURTHER = 2  # a loop is run up to this many times as often as it was found


@dataclass(frozen=True, slots=True)
class LoopDepth:
    """One loop: how often it was found to run, and test accuracy by trips, as it is and with batch norm estimated anew."""

    name: str
    found: int
    accuracy: tuple[tuple[int, float], ...]
    recalibrated: tuple[tuple[int, float], ...]


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
                {
                    "name": loop.name,
                    "found": loop.found,
                    "accuracy": [{"steps": t, "accuracy": a} for t, a in loop.accuracy],
                    "recalibrated": [{"steps": t, "accuracy": a} for t, a in loop.recalibrated],
                }
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
    """Test accuracy of a fold (default: the newest of the newest run) for 1 to `most` trips through each loop, in fp32.

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

    def accuracy(loop: str, trips: int, own_steps: bool) -> float:
        looped = fold.load().to(machine.device)
        looped.set_trips({loop: trips}, own_steps=own_steps)
        if own_steps:
            recalibrate(looped, train, machine)
        observer.advance()
        return evaluate(looped, test, machine).accuracy

    measured = []
    observer.begin("depth", sum(2 * (most or FURTHER * found) for found in loops.values()))
    for name, found in loops.items():
        tried = range(1, (most or FURTHER * found) + 1)
        as_found = tuple((trips, accuracy(name, trips, False)) for trips in tried)
        anew = tuple((trips, accuracy(name, trips, True)) for trips in tried)
        measured.append(LoopDepth(name, found, as_found, anew))
    observer.end()
    return DepthReport(str(folder), fold.arch, test.images, tuple(measured), dataset.task.measure)
