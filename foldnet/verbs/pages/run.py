"""What the page of a run says, collected: plain data, of which nothing is drawn or written yet."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldnet.choosing.sweep_file import SWEEP_FILE, read_sweep
from foldnet.errors import NothingToFold, RunError
from foldnet.folding.folds import open_fold
from foldnet.folding.opening import soft_of_fold
from foldnet.proof.certificate import Certificate
from foldnet.proof.certificate_file import is_of, read_certificate
from foldnet.proof.fold_report import FoldReport, read_fold_report
from foldnet.sharing.share import SharedNetwork
from foldnet.store.artifact import FOLD
from foldnet.store.codec import from_plain
from foldnet.store.seals import check_files, sha256_of
from foldnet.training.checkpoint import FILE, read_metrics
from foldnet.training.runs import Run, open_run
from foldnet.verbs.info import NetworkInfo, info_of_run
from foldnet.verbs.listing import RunLine
from foldnet.verbs.lsm import LsmReport, lsm, lsm_history
from foldnet.verbs.pages.commands import fold_command, train_command
from foldnet.verbs.pages.sources import Source, command, said, source_of
from foldnet.verbs.pages.stops import Ways, ways_of
from foldnet.verbs.sweep import SweepReport
from foldnet.verbs.trips import DepthReport


@dataclass(frozen=True, slots=True)
class PagedFold:
    """A fold of the run: its report, and its certificate with None where it has none, or `stale` where that is of other
    files; `command` makes it again, "" where none does."""

    name: str
    report: FoldReport
    certificate: Certificate | None
    stale: bool
    source: Source
    command: str = ""


@dataclass(frozen=True, slots=True)
class RunPage:
    """What the page of a run says. `similar`, `history` and `ways` are None for networks that have none, and
    `unshared` then says why; `shown` is the threshold that the page begins with, `trained_by` the command that trains
    the same and "", or "" and why there is none."""

    name: str
    command: str
    facts: dict[str, str]
    settings: dict[str, Any]
    info: NetworkInfo
    metrics: tuple[dict[str, Any], ...]
    measure: str
    share: bool
    similar: LsmReport | None
    unshared: str
    history: dict[str, NDArray[np.float64]] | None
    ways: Ways | None
    sweep: SweepReport | None
    folds: tuple[PagedFold, ...]
    depth: DepthReport | None
    shown: float | None
    sources: dict[str, Source]
    trained_by: tuple[str, str] = ("", "")


def page_of_run(folder: Path, only: Path | None = None, *, depth: DepthReport | None = None) -> RunPage:
    """Everything that a run's folder says, of its folds `only` one where that is given, and the `depth` that was
    measured of the newest.

    Raises RunError for what is damaged or was changed after it was written.
    """
    run, name = open_run(folder), said(folder)
    model, _ = run.load()
    metrics = read_metrics(folder)
    similar, unshared = _similar(folder)
    ways = ways_of(run, model) if isinstance(model, SharedNetwork) and similar is not None else None
    soft = isinstance(model, SharedNetwork) and (folder / "coefficients.safetensors").is_file() and ways is not None
    folds = tuple(_fold(fold, run) for fold in ([only] if only is not None else FOLD.all_in(folder)))
    first = folds[-1].report.threshold if folds else None
    swept, about = (folder / SWEEP_FILE).is_file(), info_of_run(run)
    return RunPage(
        name=name,
        command=command("report", name if only is None else folds[0].name, *(["--depth"] if depth else [])),
        facts=_facts(about),
        settings=about.settings or {},
        info=replace(about, name=name, trained=None),
        metrics=tuple(metrics),
        measure=run.task.measure,
        share=run.task.share,
        similar=None if similar is None else replace(similar, run=name),
        unshared=unshared,
        history=lsm_history(folder) if soft else None,
        ways=ways,
        sweep=_sweep(run) if swept else None,
        folds=folds,
        depth=depth,
        shown=first if isinstance(first, float) else None,
        sources=_sources(folder, name, soft=soft, swept=swept),
        trained_by=train_command(run),
    )


def _facts(about: NetworkInfo) -> dict[str, str]:
    """How the run came to be. Raises RunError where its files are damaged, or were changed."""
    assert isinstance(about.trained, RunLine)
    if about.trained.problem is not None:
        raise RunError(about.trained.problem)
    return dict(about.trained.facts())


def _similar(folder: Path) -> tuple[LsmReport | None, str]:
    """The similarity matrices, or why there are none."""
    try:
        return lsm(folder), ""
    except NothingToFold as nothing:
        return None, str(nothing)


def _sources(folder: Path, name: str, *, soft: bool, swept: bool) -> dict[str, Source]:
    """By the parts of the page."""
    weights = Source(f"{name}/last/{FILE}", sha256_of(folder / "last" / FILE), command("lsm", name))
    found = {"trained": source_of(folder, "config.json", command("info", name)), "similar": weights}
    if (folder / "metrics.jsonl").is_file():
        found["metrics"] = source_of(folder, "metrics.jsonl")
    if soft:
        found["history"] = source_of(folder, "coefficients.safetensors", command("lsm", name, "--history"))
    if swept:
        found["sweep"] = source_of(folder, SWEEP_FILE, command("render", "sweep", name))
    return found


def _sweep(run: Run) -> SweepReport:
    """The run's sweep. Raises RunError where it is none, or was changed."""
    file = run.folder / SWEEP_FILE
    try:
        sweep = from_plain(SweepReport, read_sweep(run))
        _ = [sweep.units[unit][knee.point] for unit, knee in sweep.knee.items()]
    except (ValueError, KeyError, IndexError) as error:
        raise RunError(f"'{file}' is not a sweep ({error}); make it again") from None
    return replace(sweep, run=said(run.folder), file=None, task=run.task)


def _fold(folder: Path, run: Run) -> PagedFold:
    """One fold, whose files must be as they were written, and which must be one of the run's weights."""
    fold = open_fold(folder)
    check_files(folder, fold.files, [name for name, _ in fold.files])
    soft_of_fold(fold, run.folder)
    name = said(folder)
    report = replace(read_fold_report(fold), run=said(run.folder), fold=None)
    certificate = read_certificate(folder)
    stale = certificate is not None and not is_of(certificate, folder)
    source = source_of(folder, "report.json", command("verify", name))
    return PagedFold(name, report, certificate, stale, source, fold_command(folder, said(run.folder)))
