"""Layer similarity matrices, of one checkpoint or of every epoch (the paper's Figures 2 and 8)."""

from pathlib import Path

from foldnet.drawing.lsm_files import write_history, write_lsm
from foldnet.training.runs import open_run
from foldnet.verbs.lsm import LsmReport, lsm, lsm_history


def write(run: Path, file: Path, *, metric: str | None, checkpoint: str) -> None:
    """Write a run's matrices: a figure, CSV, JSON, NPY or NPZ. Raises RunError, SettingError, NothingToFold,
    OutputError."""
    write_report(lsm(run, metric=metric, checkpoint=checkpoint), file)


def write_report(report: LsmReport, file: Path) -> None:
    """The same of what was measured."""
    title = f"{report.arch or 'network'}, {report.metric}, epoch {report.epoch}"
    write_lsm(report.groups, file, title=title, document=report.to_json())


def write_epochs(folder: Path, file: Path) -> None:
    """Draw how the matrices came to be, or write them as NPY or NPZ. Raises RunError, OutputError."""
    write_history(lsm_history(folder), file, title=open_run(folder).settings.arch)
