"""The depth dial turned: how good networks are when a loop runs more or less often. `depth` turns each loop of a fold;
`reach` compares networks that find paths on other grids, after more steps, on longer paths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from foldnet.benching.dial import Dial, dial_of
from foldnet.bounds import check_number, checked
from foldnet.data.tasks import CELLS, CLASSES, Task
from foldnet.errors import NothingToFold, SettingError
from foldnet.folding.folds import open_fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.opening import fold_folder, kind_of, open_network, run_of_fold
from foldnet.program.data import schedule, turnable
from foldnet.show.progress import watched
from foldnet.show.report import Report, Scored, Table, percent
from foldnet.training.evaluate import LengthScore, Score
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.training.other_grids import OtherGrids
from foldnet.zoo.family import runs_code

MANY = 24  # points of a curve
FURTHER = 2  # `depth` runs a loop up to this many times as often as it was found
TIMES = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)  # trips that `reach` tries, times those that were found


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
class DepthReport(Scored):
    """The test score against trips for every loop, the other loops as found."""

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
    loops = turnable(fold.program)
    if not loops and (fixed := next((stage.fixed for stage in fold.program.stages if stage.loops), "")):
        raise NothingToFold(f"the loops of fold '{folder}' run as often as they were found: {fixed}")
    if not loops:
        raise NothingToFold(
            f"fold '{folder}' has no loop to turn; fold it at a lower `threshold`, or with `unit='block'`"
        )
    looped = fold.load()
    dial = dial_of(looped, run_of_fold(fold, run), choose_machine(device, "fp32"), anew=True, data_dir=data_dir)
    tried = {name: tried_trips(found, most or FURTHER * found) for name, found in loops.items()}
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


def tried_trips(found: int, most: int) -> list[int]:
    """The trips of a curve: all from 0 to `most`, or of more than MANY both ends, 1, those found, and some between."""
    if most < MANY:
        return list(range(most + 1))
    spaced = {round(most * part / MANY) for part in range(MANY + 1)}
    return sorted(spaced | {1} | ({found} if found < most else set()))


@dataclass(frozen=True, slots=True)
class ReachPoint:
    """Scores after so many steps in all, of which a loop's `trips` are part (None: nothing loops); 0..1."""

    computed: ClassVar = ("f1=score",)
    trips: int | None
    steps: int
    score: float
    whole: float
    recalibrated: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """One network: its form, the loop that was turned and its trips as found, scores by steps, and by length as
    found."""

    path: str
    arch: str
    form: str
    loop: str | None
    found: int | None
    points: tuple[ReachPoint, ...]
    by_length: tuple[LengthScore, ...]


@dataclass(frozen=True, slots=True)
class ReachReport(Scored):
    """Networks side by side on the same grids."""

    data: str
    images: int
    networks: tuple[Reach, ...]
    task: Task = CELLS

    def parts(self) -> Iterator[Table]:
        """A table a network."""
        for network in self.networks:
            rows = tuple(
                (
                    f"{point.trips} (found)" if point.trips == network.found is not None else point.trips or "",
                    point.steps,
                    self.task.written(point.score).removeprefix(f"{self.task.measure} "),
                    percent(point.whole, 1),
                    "estimated anew" if point.recalibrated else "as trained",
                )
                for point in network.points
            )
            turned = "" if network.loop is None else f", {network.loop} turned"
            title = f"{network.path} ({network.arch}, {network.form}{turned}) on {self.data}"
            yield Table(title, ("trips", "steps", self.task.measure, "wholly right", "batch norm"), rows)


@runs_code
@watched
@checked
def reach(
    paths: Sequence[Path | str],
    grids: OtherGrids | None = None,
    *,
    trips: Sequence[int] | None = None,
    recalibrated: bool = False,
    run: Path | str | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> ReachReport:
    """Score runs and folds on the same test grids; of a fold the loop that was found to run most often runs `trips`
    times.

    `trips` None is a quarter to three times what was found. With `recalibrated` every number of trips is measured a
    second time, with batch norm estimated anew on the run's training grids and further trips having statistics of their
    own. `run` names the run of the folds that do not lie inside one. fp32; nothing is chosen by these numbers. Progress
    is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given (Silent: none). Raises
    SettingError, RunError.
    """
    if not paths:
        raise SettingError("there is no network to compare; name runs or folds that were trained on grids")
    for count in trips or ():
        check_number("trips", count)
    machine, observer = choose_machine(device, "fp32"), observer or Silent()
    opened = [(str(path), *open_network(path, named=named)) for path, named in _named([*map(Path, paths)], run)]
    found, data, images = [], "", 0
    task: Task = CELLS
    for number, (path, model, origin, form) in enumerate(opened):
        anew = recalibrated and form == "looped"
        dial = dial_of(model, origin, machine, grids=grids or OtherGrids(), anew=anew)
        data, images, task = dial.data, dial.test.images, dial.dataset.task
        observer.begin(f"reach of {path}", 1, number, len(opened))
        found.append(_reach_of(path, origin.settings.arch, form, dial, trips))
        observer.advance()
        observer.end()
    return ReachReport(data, images, tuple(found), task)


def _named(paths: Sequence[Path], run: Path | str | None) -> list[tuple[Path, Path | str | None]]:
    """Each network with the run that is named for it: `run` for the folds that lie inside none. Raises SettingError."""
    alone = [kind_of(path) == "fold" and not (path.resolve().parent / "config.json").is_file() for path in paths]
    if run is not None and not any(alone):
        raise SettingError(
            "`run` is for folds that do not lie inside their run, and none of these is one; leave it out"
        )
    return [(path, run if elsewhere else None) for path, elsewhere in zip(paths, alone, strict=True)]


def _reach_of(path: str, arch: str, form: str, dial: Dial, trips: Sequence[int] | None) -> Reach:
    """One network, its dial turned."""
    loops = dial.loops
    loop = max(loops, key=lambda name: loops[name], default=None)
    as_found, by_length = dial.score()
    if loop is None:
        return Reach(path, arch, form, None, None, (_point(dial, {}, as_found, False),), by_length)
    counts = trips or sorted({max(1, round(times * loops[loop])) for times in TIMES})
    points = tuple(
        _point(dial, {loop: count}, score, anew)
        for anew in dial.ways
        for count, score in dial.turn(loop, counts, anew=anew).items()
    )
    return Reach(path, arch, form, loop, loops[loop], points, by_length)


def _point(dial: Dial, trips: dict[str, int], score: Score, anew: bool) -> ReachPoint:
    """A score, with the number of blocks that ran one after the other."""
    if isinstance(dial.model, LoopedNetwork):
        steps = sum(len(schedule(stage.items, trips)) for stage in dial.model.program.stages)
    else:
        network: Any = getattr(dial.model, "network", dial.model)
        steps = len(network.body)
    whole = (score.right or 0) / score.images
    return ReachPoint(next(iter(trips.values()), None), steps, score.value, whole, anew)
