"""foldnet fold --sweep, and the curves that folds are chosen from: measured once, with the time said beforehand."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from foldnet.analysis.choices import UNITS
from foldnet.bounds import checked
from foldnet.choosing.choose import Soft, soft_of
from foldnet.choosing.laboratory import Laboratory
from foldnet.choosing.sweep import Curve, Judge, Outcome, SweepPoint, descend, knee
from foldnet.choosing.sweep_file import SWEEP_FILE, OtherSweep, kept_curve, made_of
from foldnet.data.tasks import CLASSES, Task
from foldnet.folding.plan import FoldPlan
from foldnet.folding.settings import FoldSettings
from foldnet.options import takes_fields
from foldnet.show.progress import watched
from foldnet.show.report import Scored, Table, Text, percent
from foldnet.store.artifact import refuse_linked
from foldnet.store.codec import Count
from foldnet.store.files import write_json
from foldnet.store.seals import sealed
from foldnet.training.observer import Observer, Silent
from foldnet.training.runs import Run, newest_run, open_run
from foldnet.zoo.family import runs_code


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Validation scores of the soft network that a sweep begins with."""

    soft: float
    soft_recalibrated: float


@dataclass(frozen=True, slots=True)
class Knee:
    """The index of a unit's point, and why it is the one."""

    point: Count
    why: str


@dataclass(frozen=True, slots=True)
class SweepReport(Scored):
    """The curve: validation score, tied and recalibrated, against what is stored, for each unit.

    `dense_numbers` are the shared weights' numbers when written out. `file` is where the same was written as JSON, `of`
    what it depends on: weights, images and settings.
    """

    run: str
    file: str | None
    metric: str
    tie: str
    linkage: str
    score: Unfolded
    accuracy: Unfolded | None
    images: Count
    dense_numbers: Count
    units: dict[str, tuple[SweepPoint, ...]]
    knee: dict[str, Knee]
    seconds: float
    task: Task = CLASSES
    of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def soft(self) -> float:
        """The soft network's validation score."""
        return self.score.soft

    def parts(self) -> Iterator[Table | Text]:
        """A table a unit: every merge, what is stored after it, and what that scores."""
        task = self.task
        soft, anew = (task.counted(value, self.images) for value in (self.soft, self.score.soft_recalibrated))
        yield Text(
            f"validation {task.measure}, tied and recalibrated; the soft network has {soft}, recalibrated {anew}"
        )
        right = "right" if task.proportion else "wholly right"
        columns = ("merged", "similar", "owners", "stored", "bytes", "loops", task.measure, right, "knee")
        for unit, points in self.units.items():
            rows = tuple(
                (
                    point.merged or "(nothing)",
                    "" if point.height is None else f"{point.height:.3f}",
                    point.owners,
                    percent(point.stored_numbers / self.dense_numbers, 1),
                    point.bytes,
                    point.loops,
                    task.written(point.score).removeprefix(f"{task.measure} "),
                    point.right,
                    "yes" if index == self.knee[unit].point else "",
                )
                for index, point in enumerate(points)
            )
            yield Table(f"by {unit} (stored: share of the dense shared weights)", columns, rows)
            yield Text(f"knee: {self.knee[unit].why}")
        yield Text(f"\n{self.seconds:.1f} s" + (f", wrote {self.file}" if self.file else ""))


@runs_code
@takes_fields(FoldSettings)
@watched
@checked
def sweep(
    run: Path | str | None = None,
    *,
    data_dir: Path | None = None,
    device: str = "auto",
    written: bool = True,
    observer: Observer | None = None,
    **settings: Any,
) -> SweepReport:
    """Walk all dendrograms of a soft run merge by merge, for layers and for blocks, and write the curve as
    RUN/sweep.json.

    Every point is tied and recalibrated; the next merge is the one that costs least on the validation images. Folds
    that are chosen by a drop, a budget or the knee take the curve from there while the weights and the settings are the
    same. Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer` is given (Silent:
    none). Raises as fold does, and SettingError for a run without validation images.
    """
    start = time.perf_counter()
    chosen = FoldSettings(**settings)
    opened = open_run(Path(run) if run is not None else newest_run())
    if written:
        refuse_linked(opened.folder)
    soft = soft_of(opened.load(chosen.checkpoint)[0], chosen)
    laboratory = Laboratory(opened, data_dir, device, observer or Silent())
    before = laboratory.score(soft.model, laboratory.validation)
    units = {unit: _walk(soft, unit, laboratory) for unit in UNITS}
    after = laboratory.score(laboratory.recalibrated(copy.deepcopy(soft.model)), laboratory.validation)
    best = {unit: knee(points, opened.task) for unit, points in units.items()}
    report = SweepReport(
        run=str(opened.folder),
        file=str(opened.folder / SWEEP_FILE) if written else None,
        metric=soft.metric,
        tie=soft.settings.tie,
        linkage=soft.settings.linkage,
        score=(score := Unfolded(before.value, after.value)),
        accuracy=score if before.task.share else None,
        images=before.images,
        dense_numbers=sum(len(entry.group.layers) * entry.weight_numbers for entry in soft.algebra),
        units=units,
        knee={unit: Knee(units[unit].index(point), why) for unit, (point, why) in best.items()},
        seconds=time.perf_counter() - start,
        task=opened.task,
        of=made_of(opened, soft),
    )
    if written:
        write_json(opened.folder / SWEEP_FILE, sealed(report.to_json()))
    return report


def curve_of(run: Run, soft: Soft, laboratory: Laboratory) -> Curve:
    """The curve to choose from: the one that the run keeps, or a new one where it keeps none of these weights and
    settings."""
    validation, observer = laboratory.validation, laboratory.observer
    try:
        kept = kept_curve(run, soft)
        if kept is not None:
            observer.note(f"choosing from '{run.folder / SWEEP_FILE}'")
            return kept
    except OtherSweep as other:
        observer.note(f"{other}, so the sweep is made anew")
    score = laboratory.score(soft.model, validation).value
    return Curve(_walk(soft, soft.settings.unit, laboratory), score, run.task)


def _walk(soft: Soft, unit: str, laboratory: Laboratory) -> tuple[SweepPoint, ...]:
    """One unit's points."""
    folds, observer = _judgements(soft, unit), laboratory.observer
    observer.begin(f"sweep by {unit}", folds)
    judge = announcing(partial(laboratory.judge, soft.model), f"sweep by {unit}", folds, observer)
    points = descend(soft.ladders(unit), unit, soft.plan, judge, laboratory.dataset.task)
    observer.end()
    return points


def announcing(
    judge: Judge, task: str, folds: int, observer: Observer, clock: Callable[[], float] = time.perf_counter
) -> Judge:
    """The same judge, which after its first fold says how long all of them will take."""
    judged = 0

    def judge_and_say(plan: FoldPlan) -> Outcome:
        nonlocal judged
        start = clock()
        outcome = judge(plan)
        judged += 1
        if judged == 1:
            observer.note(f"{task}: about {folds} folds to judge, {lasting((clock() - start) * folds)}")
        return outcome

    return judge_and_say


def lasting(seconds: float) -> str:
    """A time to come, rounded: "a second or so", "about 40 s", "about 3 min", "about 1 h 20 min"."""
    if seconds < 1.5:
        return "a second or so"
    if seconds < 99.5:
        return f"about {seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"


def _judgements(soft: Soft, unit: str) -> int:
    """About how many folds a sweep judges: each round one a ladder, fewer as ladders end."""
    rungs = sorted(len(ladder.rungs) for ladder in soft.ladders(unit))
    return 1 + sum(count * (2 * len(rungs) - 2 * index + 1) // 2 for index, count in enumerate(rungs))
