"""The depth dial as an experiment: one network and its data, loaded once, scored at as many settings of its loops as
wanted."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset
from foldnet.errors import SettingError
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.recalibrate import keeps_statistics, recalibrate
from foldnet.folding.verdict import LoopVerdict, further_trips, margin_of
from foldnet.program.data import check_trips, turnable
from foldnet.training.evaluate import LengthScore, Score, score_by_length
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer
from foldnet.training.other_grids import OtherGrids, other_grids
from foldnet.training.runs import Run
from foldnet.training.session import loader_of, split_of_run, training_loader

BATCH = 128


@dataclass(frozen=True, slots=True)
class Dial:
    """A network on its machine, the test images to score it on, and the training images that batch norm is estimated
    anew on.

    `data` says in words what the test images are, `train` is None where nothing is to be recalibrated.
    """

    model: nn.Module
    machine: Machine
    dataset: Dataset
    data: str
    test: Loader
    train: Loader | None

    @property
    def loops(self) -> dict[str, int]:
        """The loops of a folded network that can be turned, by name, with the trips found; none of another."""
        return turnable(self.model.program) if isinstance(self.model, LoopedNetwork) else {}

    @property
    def ways(self) -> tuple[bool, ...]:
        """Whether batch norm is estimated anew: as it is first, then anew where there are images for that."""
        return (False,) if self.train is None else (False, True)

    def turn(
        self, loop: str, counts: Iterable[int], *, anew: bool, damped: bool = False, observer: Observer | None = None
    ) -> dict[int, Score]:
        """The scores where one loop runs each of `counts` times, the others as found. The observer hears of each."""
        found = {}
        for count in counts:
            if observer is not None:
                observer.advance()
            found[count] = self.score({loop: count}, anew=anew, damped=damped)[0]
        return found

    def verdict(self, loop: str, *, observer: Observer | None = None) -> LoopVerdict:
        """Whether a loop is an iteration or a habit, by the test score: see LoopVerdict."""
        assert isinstance(self.model, LoopedNetwork)
        anew = self.train is not None and keeps_statistics(self.model)
        found, further = self.loops[loop], further_trips(self.loops[loop])
        scores = {
            trips: score.value
            for trips, score in self.turn(loop, {1, found, *further}, anew=anew, observer=observer).items()
        }
        finer: dict[int, Score] = {}
        if self.model.can_be_damped(loop):
            finer = self.turn(loop, further, anew=anew, damped=True, observer=observer)
        return LoopVerdict(
            name=loop,
            found=found,
            score=scores[found],
            once=scores[1],
            longer=tuple((trips, scores[trips]) for trips in further),
            finer=tuple((trips, score.value) for trips, score in finer.items()),
            margin=margin_of(self.dataset.task, scores[found]),
            sign=-1 if self.dataset.task.better == "lower" else 1,
        )

    def score(
        self,
        trips: Mapping[str, int] | None = None,
        *,
        anew: bool = False,
        damped: bool = False,
        observer: Observer | None = None,
    ) -> tuple[Score, tuple[LengthScore, ...]]:
        """The score with loops run by `trips`, the others as found, and the same by length of path where there are
        grids.

        With `anew` batch norm is estimated first, further trips having statistics of their own; `damped` is
        set_trips's.
        """
        # Recalibration writes into the norms, which the next setting must find as they were.
        model = copy.deepcopy(self.model) if anew else self.model
        if isinstance(model, LoopedNetwork):
            model.set_trips(trips or {}, own_steps=anew, damped=damped)
        if anew and keeps_statistics(model):
            assert self.train is not None
            recalibrate(model, self.train, self.machine.fp32, observer=observer)
        return score_by_length(model, self.test, self.machine, self.dataset, observer)


def dial_of(
    model: nn.Module,
    run: Run,
    machine: Machine,
    *,
    grids: OtherGrids | None = None,
    anew: bool = False,
    data_dir: Path | None = None,
    batch_size: int = BATCH,
) -> Dial:
    """A network of that run with the run's own data, or other `grids` to score it on; `anew` loads training images too.

    Raises RunError where the data have changed, SettingError for a run without grids, DataError.
    """
    own = split_of_run(run, data_dir) if anew or grids is None else None
    if grids is not None:
        dataset, data = other_grids(run, grids)
    else:
        assert own is not None
        dataset, data = own[0], own[0].name
    train = training_loader(own[0], own[1].train, run.settings, machine, batch_size) if own and anew else None
    test = loader_of(dataset, dataset.test, batch_size, machine)
    return Dial(model.to(machine.device), machine, dataset, data, test, train)


def check_turnable(model: nn.Module, folder: Path, trips: Mapping[str, int], *, damped: bool) -> None:
    """Raise SettingError for a network that has not been folded, and what set_trips raises, before any data are
    loaded."""
    if not isinstance(model, LoopedNetwork):
        raise SettingError(
            f"`steps` needs the loops of a fold, and '{folder}' is a run; name its fold, or make one with "
            f"`foldnet.fold({str(folder)!r})`"
        )
    check_trips(model.program, trips)
    model.set_trips(trips, damped=damped)
