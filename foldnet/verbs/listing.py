"""foldnet runs: a line about every run, and about every fold that lies in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import FoldnetError
from foldnet.folding.folds import open_fold
from foldnet.proof.fold_report import read_fold_report
from foldnet.show.report import Report, Scored, Table, Text, megabytes
from foldnet.store.artifact import FOLD
from foldnet.store.codec import LINKED
from foldnet.store.files import runs_home
from foldnet.store.seals import check_files
from foldnet.training.checkpoint import read_metrics
from foldnet.training.runs import Lengthened, all_runs, open_run
from foldnet.verbs.train import read_report

STATED = ("finetuned", "recalibrated", "tied")  # scores in report.json: the first that it has is that of its file


@dataclass(frozen=True, slots=True)
class FoldLine(Scored):
    """One fold of a run: the bytes of its files and its test score, also as accuracy where it is a share, None where
    that was not measured.

    `problem` says what is wrong with a damaged one.
    """

    computed: ClassVar = ("accuracy", *Scored.computed)
    fold: str
    bytes: int
    score: float | None = None
    task: Task = CLASSES
    problem: str | None = None

    @property
    def accuracy(self) -> float | None:
        """The score where it is a share."""
        return self.score if self.task.share else None

    def __str__(self) -> str:
        """How well it does, and its size; or what is wrong with it."""
        if self.problem is not None:
            return f"damaged: {self.problem}"
        return f"{self.task.written(self.score)}, {megabytes(self.bytes)}"


@dataclass(frozen=True, slots=True)
class RunLine(Scored):
    """One run. `problem` says what is wrong with a damaged one, of which little else is known.

    `epochs` are done `of` so many; `lengthened` is ((2, 3), ...) where the first 2 epochs are those of a run of 3;
    `bytes` are those of its own files, without its folds.
    """

    computed: ClassVar = ("test_accuracy", *Scored.computed)
    run: str
    arch: str | None = None
    dataset: str | None = None
    seed: int | None = None
    epochs: int | None = None
    of: int | None = None
    score: float | None = None
    problem: str | None = None
    task: Task = CLASSES
    bytes: int = 0
    folds: tuple[FoldLine, ...] = ()
    lengthened: Lengthened = ()

    @property
    def test_accuracy(self) -> float | None:
        """The test score where it is a share."""
        return self.score if self.task.share else None

    def facts(self) -> Iterator[tuple[str, str]]:
        """How it came to be and how well it does, as names and values; or what is wrong with it."""
        if self.problem is not None:
            yield "damaged", self.problem
            return
        yield "network", str(self.arch)
        yield "data", f"{self.dataset}, seed {self.seed}"
        yield "epochs", f"{self.epochs} of {self.of}"
        for until, before in self.lengthened:
            yield "lengthened", f"after epoch {until}; until then a run of {before}"
        yield "test", "not measured" if self.score is None else self.task.written(self.score)
        yield "size", megabytes(self.bytes)


@dataclass(frozen=True, slots=True)
class Runs(Report):
    """What `foldnet runs` says: the runs under a folder, oldest first, with their folds."""

    unwritten: ClassVar = ("home",)
    home: str
    runs: tuple[RunLine, ...]

    def parts(self) -> Iterator[Table | Text]:
        """A line a run and, indented, a line a fold; damaged runs at the end."""
        if not self.runs:
            yield Text(f"no runs under '{self.home}'; train one with `foldnet.train()`")
        rows = []
        for line in self.runs:
            if line.problem is None:
                trained = f"{line.arch} {line.dataset}, seed {line.seed}, {line.epochs}/{line.of} epochs"
                rows.append((line.run, f"{trained}, {line.task.written(line.score)}, {megabytes(line.bytes)}"))
                rows += [(f"  {fold.fold}", f"fold, {fold}") for fold in line.folds]
        if rows:
            yield Table("", (), tuple(rows))
        yield from (Text(f"damaged: {line.run}: {line.problem}", "note") for line in self.runs if line.problem)


def list_runs(home: Path | None = None, runs: Sequence[Path] | None = None) -> Runs:
    """The runs under `home` (default: where runs lie), or those named."""
    return Runs(str(home or runs_home()), tuple(map(line_of_run, runs or all_runs(home))))


def line_of_run(folder: Path) -> RunLine:
    """What there is to say of a run, however damaged."""
    try:
        run = open_run(folder)
        report = read_report(folder) if (folder / "report.json").is_file() else None
        done = len(read_metrics(folder))
    except FoldnetError as error:
        return RunLine(str(folder), problem=str(error))
    settings = run.settings
    folds = (*map(line_of_fold, FOLD.all_in(folder)), *_links(folder))
    return RunLine(
        str(folder),
        settings.network,
        settings.dataset,
        settings.seed,
        done,
        settings.epochs,
        report.score if report else None,
        task=run.task,
        bytes=_bytes(folder) - sum(fold.bytes for fold in folds),
        folds=folds,
        lengthened=run.lengthened,
    )


def _links(run: Path) -> Iterator[FoldLine]:
    """Links to folders inside a run, which are no part of it: what they lead to is elsewhere."""
    for path in sorted(run.iterdir()):
        if path.is_symlink() and path.is_dir():
            yield FoldLine(str(path), 0, problem=f"'{path}' {LINKED}")


def line_of_fold(folder: Path) -> FoldLine:
    """What there is to say of a fold, however damaged."""
    size = _bytes(folder)
    try:
        fold = open_fold(folder)
        if fold.files:
            check_files(folder, fold.files, ["report.json"])
        stated = read_fold_report(fold).stated()
        scores = (stated[name] for name in STATED if name in stated)
        legal = (score for score in scores if 0 <= score <= 1 or not fold.task.share)
        return FoldLine(str(folder), size, next(legal, None), fold.task)
    except FoldnetError as error:
        return FoldLine(str(folder), size, problem=str(error))


def _bytes(folder: Path) -> int:
    """Bytes of all files in a folder; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
