"""foldnet evaluate: how good a run or a fold is on the test set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from foldnet.benching.dial import BATCH, check_turnable, dial_of
from foldnet.bounds import checked
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import SettingError
from foldnet.folding.opening import open_network
from foldnet.folding.recalibrate import NOTHING_ANEW, keeps_statistics
from foldnet.show.progress import watched
from foldnet.show.report import Scored, Table, counted, percent
from foldnet.training.evaluate import LengthScore, binned
from foldnet.training.machine import choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.training.other_grids import OtherGrids
from foldnet.training.runs import newest_run
from foldnet.zoo.family import runs_code

# What a report has of a score.
SCORED = ("accuracy", "right", "images", "scored", "share_within", "loss", "seconds", "images_per_second", "task")


@dataclass(frozen=True, slots=True)
class EvaluateReport(Scored):
    """What `foldnet evaluate` says: the test score in the data's `measure`, which is the accuracy where it is a share
    (0..1), with the count of what is wholly right, and the speed of this evaluation. Of grids also `whole`, the share
    that is wholly right, and both by the length of the path; of text `scored`, how many bytes the score is over; of
    strings and sums `scored`, how many bits they have or bytes their answers have, and `share_within`, the share of
    these that is right.
    """

    path: str
    form: str
    steps: dict[str, int]
    recalibrated: bool
    score: float
    accuracy: float | None
    right: int | None
    images: int
    loss: float
    parameters: int
    precision: str
    device: str
    seconds: float
    images_per_second: float
    task: Task = CLASSES
    data: str = ""
    whole: float | None = None
    by_length: tuple[LengthScore, ...] = ()
    damped: bool = False
    scored: int | None = None
    share_within: float | None = None

    def parts(self) -> Iterator[Table]:
        """The score of a run or fold, by length of path where that was asked."""
        test = self.task.counted(self.score, self.images, self.right, self.scored)
        rows = (
            (self.form, self.path),
            ("steps", ", ".join(f"{loop} runs {counted(count, 'time')}" for loop, count in self.steps.items())),
            ("changes", "damped by the trips found to those run" if self.damped else ""),
            ("batch norm", "estimated anew on training images" if self.recalibrated else ""),
            (self.task.unit, self.data if self.by_length or self.share_within is not None else ""),
            ("test", f"{test}, loss {self.loss:.4f}"),
            (self.task.within, "" if self.share_within is None else self._within()),
            ("parameters", f"{self.parameters:,}"),
            ("speed", f"{self.images_per_second:,.0f} {self.task.unit}/s, {self.precision} on {self.device}"),
        )
        yield Table("", (), tuple(row for row in rows if row[1]))
        if self.by_length:
            lengths = tuple(
                (part.span, part.grids, f"{part.f1:.4f}", percent(part.whole, 1)) for part in binned(self.by_length)
            )
            yield Table("", ("steps of the path", "grids", "F1", "wholly right"), lengths)

    def _within(self) -> str:
        """How much is right of what stands within the images."""
        return f"{percent(self.share_within or 0.0, 2)} of {self.scored or 0:,} right"


@runs_code
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

    fp32 by default, so that the forms of one network can be compared to the last image. `steps` lets loops of a fold
    run another number of times, {"stage2.loop1": 5}, or 0 times, which leaves it out; with `recalibrated` batch norm is
    estimated anew on training images, if there is any, and further trips get statistics of their own; with `damped` a
    loop that was found with T trips and runs T' adds T / T' of what each of its blocks would add. Nothing is written.
    `grids` are for networks whose data are drawn. `run` names the run of a fold that does not lie inside it.
    Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given (Silent:
    none). Raises RunError, DataError, SettingError, and UnknownName for a loop that is not there.
    """
    folder = Path(path) if path is not None else newest_run()
    model, origin, form = open_network(folder, checkpoint, run)
    machine = choose_machine(device, precision)
    if damped and not steps:
        raise SettingError("`damped=True` scales loops that run another number of times than found; give `steps` too")
    if steps:
        check_turnable(model, folder, steps, damped=damped)
    anew = recalibrated and keeps_statistics(model)
    if recalibrated and not anew:
        (observer or Silent()).note(NOTHING_ANEW)
    dial = dial_of(model, origin, machine, grids=grids, anew=anew, data_dir=data_dir, batch_size=batch_size)
    score, by_length = dial.score(steps, anew=anew, damped=damped, observer=observer)
    return EvaluateReport(
        path=str(folder),
        form=form,
        steps=dict(steps or {}),
        recalibrated=anew,
        score=score.value,
        **{name: getattr(score, name) for name in SCORED},
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        precision=machine.precision,
        device=str(machine.device),
        data=dial.data,
        whole=(score.right or 0) / score.images if by_length else None,
        by_length=by_length,
        damped=damped,
    )
