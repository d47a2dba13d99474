"""What `foldnet train` says, and reading it again from a run."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import RunError
from foldnet.show.report import Report, Table
from foldnet.store.artifact import SEAL, check_sealed
from foldnet.store.codec import Count, Share, from_plain
from foldnet.store.reading import read_json
from foldnet.training.runs import Run, open_run


@dataclass(frozen=True, slots=True)
class TrainReport(Report):
    """What `foldnet train` says. `score` is the test's in the data's own `measure`; accuracies are scores that are
    shares, 0..1. `test_right` counts what was answered wholly right, `seconds` are those of training, without the final
    test. `lengthened` is [[2, 3], ...] where the first 2 epochs are those of a run of 3.
    """

    computed: ClassVar = ("measure=task.measure", "better=task.better")
    unwritten: ClassVar = ("task",)
    run: str
    dataset: str
    arch: str
    seed: int
    epochs: Count
    parameters: Count
    score: float
    test_accuracy: Share | None
    test_right: Count | None
    test_images: Count
    best_score: float | None
    best_validation_accuracy: Share | None
    best_epoch: Count | None
    precision: str
    device: str
    seconds: float
    images_per_second: float
    task: Task = CLASSES
    lengthened: list[list[int]] = field(default_factory=list)

    def parts(self) -> Iterator[Table]:
        """What was trained, how long it took, and how well it does."""
        after = " and ".join(str(until) for until, _ in self.lengthened)
        longer = f" (lengthened after {after})" if after else ""
        test = self.task.counted(self.score, self.test_images, self.test_right)
        best = f"{self.task.written(self.best_score)} at epoch {self.best_epoch}"
        rows = (
            ("run", self.run),
            ("network", f"{self.arch}, {self.parameters:,} parameters"),
            ("trained", f"{self.epochs} epochs{longer} on {self.dataset}, seed {self.seed}, {self.precision}"),
            ("time", f"{self.seconds:.1f} s, {self.images_per_second:,.0f} {self.task.unit}/s on {self.device}"),
            *([("best validation", best)] if self.best_score is not None else []),
            ("test", f"{test}, last epoch"),
        )
        yield Table("", (), rows)


def read_report(folder: Path) -> TrainReport:
    """The report of a finished run. Raises RunError where it is damaged, changed, or another run's."""
    file = folder / "report.json"
    content, run = read_json(file), open_run(folder)
    try:
        plain = {key: value for key, value in content.items() if key not in ("identity", SEAL)}
        if "score" not in plain:  # every score was an accuracy once, and had no other name
            plain |= {"score": plain.get("test_accuracy"), "best_score": plain.get("best_validation_accuracy")}
        report = from_plain(TrainReport, plain)
        report = replace(report, run=str(folder), task=run.task, lengthened=pairs_of(run))
    except (AttributeError, ValueError) as error:
        raise RunError(f"'{file}' is not a training report ({error}); restore it") from None
    if run.sealed or SEAL in content:
        check_sealed(content, file, "run")
        if content.get("identity") != run.identity:
            raise RunError(f"'{file}' is not the report of run '{folder}' but another run's; restore its own")
    return report


def pairs_of(run: Run) -> list[list[int]]:
    """What a run was to be before it was lengthened, as JSON has it."""
    return [list(pair) for pair in run.lengthened]
