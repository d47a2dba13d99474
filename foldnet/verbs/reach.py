"""How far networks that find paths reach beyond their training: on other grids, after more steps, on longer paths."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.bounds import check_number
from foldnet.data.dataset import Dataset
from foldnet.errors import SettingError
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.recalibrate import recalibrate
from foldnet.program.trips import loops_of, schedule
from foldnet.show.progress import watched
from foldnet.show.report import Report, Table, percent
from foldnet.training.by_length import LengthScore, OtherGrids, other_grids, score_by_length
from foldnet.training.loading import loader_of, split_of_run, training_loader
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.training.runs import Run
from foldnet.typed import checked
from foldnet.verbs.evaluate import BATCH, open_network

TIMES = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)  # trips that are tried, times those that were found


@dataclass(frozen=True, slots=True)
class ReachPoint:
    """Scores after so many steps in all, of which a loop's `trips` are part (None: nothing loops); 0..1."""

    trips: int | None
    steps: int
    f1: float
    whole: float
    recalibrated: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """One network: its form, the loop that was turned and its trips as found, scores by steps, and by length as found."""

    path: str
    arch: str
    form: str
    loop: str | None
    found: int | None
    points: tuple[ReachPoint, ...]
    by_length: tuple[LengthScore, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"by_length": [part.to_json() for part in self.by_length]}


@dataclass(frozen=True, slots=True)
class ReachReport(Report):
    """Networks side by side on the same grids."""

    data: str
    images: int
    networks: tuple[Reach, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"data": self.data, "images": self.images, "networks": [entry.to_json() for entry in self.networks]}

    def tables(self) -> tuple[Table, ...]:
        """A row for each network and number of steps."""
        columns = ("network", "form", "trips", "steps", "recalibrated", "F1", "wholly right")
        rows = tuple(
            (entry.path, entry.form, point.trips, point.steps, point.recalibrated, point.f1, percent(point.whole))
            for entry in self.networks
            for point in entry.points
        )
        return (Table(f"{self.images} {self.data}", columns, rows),)


@watched
@checked
def reach(
    paths: Sequence[Path | str],
    grids: OtherGrids | None = None,
    *,
    trips: Sequence[int] | None = None,
    recalibrated: bool = False,
    device: str = "auto",
    observer: Observer | None = None,
) -> ReachReport:
    """Score runs and folds on the same test grids; of a fold the loop that was found to run most often runs `trips` times.

    `trips` None is a quarter to three times what was found. With `recalibrated` every number of trips is measured a second time,
    with batch norm estimated anew on the run's training grids and further trips having statistics of their own. fp32; nothing is
    chosen by these numbers. Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given
    (Silent: none). Raises SettingError, RunError.
    """
    if not paths:
        raise SettingError("there is no network to compare; name runs or folds that were trained on grids")
    for count in trips or ():
        check_number("trips", count)
    machine, observer = choose_machine(device, "fp32"), observer or Silent()
    found, data, images = [], "", 0
    for number, path in enumerate(paths):
        _, run, _ = open_network(Path(path))
        test, data = other_grids(run, grids or OtherGrids())
        images = len(test.test)
        observer.begin(f"reach of {path}", 1, number, len(paths))
        found.append(_reach_of(Path(path), run, test, trips, recalibrated, machine))
        observer.advance()
        observer.end()
    return ReachReport(data, images, tuple(found))


def _reach_of(
    path: Path, run: Run, test: Dataset, trips: Sequence[int] | None, recalibrated: bool, machine: Machine
) -> Reach:
    """One network."""
    loader = loader_of(test, test.test, BATCH, machine)
    model, _, form = open_network(path)
    train = None
    if recalibrated and isinstance(model, LoopedNetwork):
        own, split = split_of_run(run)
        train = training_loader(own, split.train, run.settings, machine, BATCH)

    def score(
        prepare: Callable[[LoopedNetwork], None] = lambda looped: None,
    ) -> tuple[float, float, tuple[LengthScore, ...]]:
        fresh = open_network(path)[0].to(machine.device)
        if isinstance(fresh, LoopedNetwork):
            prepare(fresh)
        found, by_length = score_by_length(fresh, loader, machine, test.test)
        return found.accuracy, found.right / found.images, by_length

    f1, whole, by_length = score()
    arch = run.settings.arch
    loops = loops_of(model.program) if isinstance(model, LoopedNetwork) else {}
    if not loops:
        point = ReachPoint(None, _steps_of(model), f1, whole, False)
        return Reach(str(path), arch, form, None, None, (point,), by_length)
    loop = max(loops, key=lambda name: loops[name])
    usual = sorted({max(1, round(times * loops[loop])) for times in TIMES})

    def turned(count: int, anew: bool) -> ReachPoint:
        def prepare(looped: LoopedNetwork) -> None:
            looped.set_trips({loop: count}, own_steps=anew)
            if anew and train is not None:
                recalibrate(looped, train, machine)

        f1, whole, _ = score(prepare)
        return ReachPoint(count, _steps_of(model, {loop: count}), f1, whole, anew)

    ways = (False, True) if recalibrated else (False,)
    points = tuple(turned(count, anew) for anew in ways for count in trips or usual)
    return Reach(str(path), arch, form, loop, loops[loop], points, by_length)


def _steps_of(model: nn.Module, trips: dict[str, int] | None = None) -> int:
    """How many blocks run one after the other."""
    if isinstance(model, LoopedNetwork):
        return sum(len(schedule(stage.items, trips)) for stage in model.program.stages)
    network: Any = getattr(model, "network", model)
    return len(network.body)
