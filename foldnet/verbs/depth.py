"""The depth dial turned: how good a folded network is when one of its loops runs more or less often."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from foldnet.benching.dial import dial_of
from foldnet.bounds import check_number
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import NothingToFold
from foldnet.folding.folds import open_fold
from foldnet.folding.opening import fold_folder, run_of_fold
from foldnet.program.data import loops_of
from foldnet.show.report import Report, Table
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer, Silent

FURTHER = 2  # a loop is run up to this many times as often as it was found


class DepthPoint(NamedTuple):
    """The test score where a loop runs `steps` times."""

    steps: int
    score: float


Curve = tuple[DepthPoint, ...]
CURVES = ("accuracy", "recalibrated", "damped", "damped_recalibrated")


@dataclass(frozen=True, slots=True)
class LoopDepth:
    """One loop: how often it was found to run, and test accuracy by trips, as it is and with batch norm estimated anew.

    The same with every change of the state damped by found / trips; empty where the loop runs single layers, which add
    to none.
    """

    name: str
    found: int
    accuracy: Curve
    recalibrated: Curve
    damped: Curve = ()
    damped_recalibrated: Curve = ()

    def curves(self) -> dict[str, Curve]:
        """What was measured, by its name in JSON."""
        return {name: getattr(self, name) for name in CURVES}


@dataclass(frozen=True, slots=True)
class DepthReport(Report):
    """The test score against trips for every loop, the other loops as found."""

    computed: ClassVar = ("measure=task.measure", "better=task.better")
    unwritten: ClassVar = ("task",)
    fold: str
    arch: str
    images: int
    loops: tuple[LoopDepth, ...]
    task: Task = CLASSES

    def to_json(self) -> dict[str, Any]:
        """As plain data, where the score is a share as accuracy too."""
        plain = Report.to_json(self)
        for point in (point for loop in plain["loops"] for curve in CURVES for point in loop[curve]):
            point["accuracy"] = point["score"] if self.task.share else None
        return plain

    def parts(self) -> Iterator[Table]:
        """A table a loop."""
        among = "right" if self.task.proportion else "mean"
        for loop in self.loops:
            curves = {name.replace("_", ", "): dict(curve) for name, curve in loop.curves().items() if curve}
            rows = tuple(
                (
                    f"{trips} (found)" if trips == loop.found else f"{trips}",
                    *(self._cell(curve[trips]) for curve in curves.values()),
                )
                for trips, _ in loop.accuracy
            )
            columns = ("trips", *(name.replace("accuracy", "as it is") for name in curves))
            yield Table(f"{loop.name}, test {self.task.measure} ({among} of {self.images})", columns, rows)

    def _cell(self, value: float) -> str:
        """A score in a narrow column, a proportion with the count behind it: the title says its name, and of how
        many."""
        written = self.task.written(value).removeprefix(f"{self.task.measure} ")
        return f"{written} ({round(value * self.images)})" if self.task.proportion else written


def depth(
    path: Path | str | None = None,
    *,
    most: int | None = None,
    run: Path | str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> DepthReport:
    """Test accuracy of a fold (default: the newest of the newest run) for 0 to `most` trips through each loop, in fp32:
    as it is, recalibrated, damped, and both.

    `most` is twice what was found where it is not given; `run` names the run of a fold that does not lie inside it.
    Nothing is chosen by these numbers. Raises NothingToFold for a fold without loops, SettingError for fewer than one
    trip, RunError, DataError.
    """
    if most is not None:
        check_number("most", most)
    observer = observer or Silent()
    folder = fold_folder(path)
    fold = open_fold(folder)
    loops = loops_of(fold.program)
    if not loops:
        raise NothingToFold(
            f"fold '{folder}' has no loop to turn; fold it at a lower `threshold`, or with `unit='block'`"
        )
    looped = fold.load()
    dial = dial_of(looped, run_of_fold(fold, run), choose_machine(device, "fp32"), anew=True, data_dir=data_dir)
    tried = {name: range((most or FURTHER * found) + 1) for name, found in loops.items()}
    # Without trips, and with those found, damping changes nothing.
    turned = {
        name: [trips for trips in tried[name] if trips not in (0, found)] if looped.can_be_damped(name) else None
        for name, found in loops.items()
    }
    observer.begin("depth", sum(len(dial.ways) * (len(tried[name]) + len(turned[name] or ())) for name in loops))
    measured = []
    for name, found in loops.items():
        curves = [dial.turn(name, tried[name], anew=anew, observer=observer) for anew in dial.ways]
        further = turned[name]
        if further is not None:
            damped = (dial.turn(name, further, anew=anew, damped=True, observer=observer) for anew in dial.ways)
            curves += [known | more for known, more in zip(curves, list(damped), strict=True)]
        points = (tuple(DepthPoint(trips, score.value) for trips, score in curve.items()) for curve in curves)
        measured.append(LoopDepth(name, found, *points))
    observer.end()
    return DepthReport(str(folder), fold.arch, dial.test.images, tuple(measured), dial.dataset.task)
