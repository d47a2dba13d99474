"""How far networks that find paths reach beyond their training: on other grids, after more steps, on longer paths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from foldnet.benching.dial import Dial, dial_of
from foldnet.bounds import check_number
from foldnet.data.tasks import CELLS, Task
from foldnet.errors import SettingError
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.opening import kind_of, open_network
from foldnet.program.data import schedule
from foldnet.show.progress import watched
from foldnet.show.report import Report, Table, percent
from foldnet.training.evaluate import LengthScore, Score
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.training.other_grids import OtherGrids
from foldnet.typed import checked

TIMES = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)  # trips that are tried, times those that were found


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
class ReachReport(Report):
    """Networks side by side on the same grids."""

    computed: ClassVar = ("measure=task.measure", "better=task.better")
    unwritten: ClassVar = ("task",)
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
