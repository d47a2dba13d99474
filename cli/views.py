"""How reports look: tables for people, one JSON object for programs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from foldnet.proof.certificate import Certificate
from foldnet.store.codec import to_plain
from foldnet.verbs.bench_inference import InferenceReport
from foldnet.verbs.bench_train import TrainBenchReport
from foldnet.verbs.check import CheckReport
from foldnet.verbs.data import GridsReport
from foldnet.verbs.depth import DepthReport
from foldnet.verbs.doctor import Health
from foldnet.verbs.evaluate import EvaluateReport
from foldnet.verbs.fold_report import FoldReport, SweepReport
from foldnet.verbs.info import FileInfo, NetworkInfo
from foldnet.verbs.lsm import LsmReport
from foldnet.verbs.reach import ReachReport
from foldnet.verbs.train import TrainReport
from foldnet_cli.page import Page
from foldnet_cli.show_bench import show_inference, show_training
from foldnet_cli.show_checks import show_checks
from foldnet_cli.show_data import show_grids
from foldnet_cli.show_doctor import show_health
from foldnet_cli.show_evaluate import show_depth, show_evaluate, show_reach
from foldnet_cli.show_fold import show_fold
from foldnet_cli.show_info import show_file, show_network
from foldnet_cli.show_lsm import show_lsm
from foldnet_cli.show_runs import show_runs
from foldnet_cli.show_sweep import show_sweep
from foldnet_cli.show_train import show_train
from foldnet_cli.show_verify import show_certificate
from foldnet_cli.words import spoken_notes


@dataclass(frozen=True, slots=True)
class Written:
    """A file that a command wrote, and the run, fold or runs that it shows."""

    file: Path
    run: Path | None = None
    fold: Path | None = None
    runs: Sequence[Path] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        paths = {"file": self.file, "run": self.run, "fold": self.fold}
        several = {"runs": [str(run) for run in self.runs]} if self.runs else {}
        return {kind: str(path) for kind, path in paths.items() if path is not None} | several


def show_written(report: Written, console: Console) -> None:
    """Where it is."""
    console.print(f"wrote {report.file}")


VIEWS: dict[type, Callable[[Any, Console], None]] = {
    Certificate: show_certificate,
    CheckReport: show_checks,
    DepthReport: show_depth,
    EvaluateReport: show_evaluate,
    FileInfo: show_file,
    FoldReport: show_fold,
    GridsReport: show_grids,
    Health: show_health,
    InferenceReport: show_inference,
    LsmReport: show_lsm,
    NetworkInfo: show_network,
    ReachReport: show_reach,
    SweepReport: show_sweep,
    TrainBenchReport: show_training,
    TrainReport: show_train,
    Written: show_written,
    tuple: show_runs,
}


def to_json(report: Any) -> str:
    """One JSON object; a list of reports becomes {"runs": [...]}."""
    if isinstance(report, tuple):
        return json.dumps(spoken_notes({"runs": to_plain(report)}), allow_nan=False)
    return json.dumps(spoken_notes(report.to_json()), allow_nan=False)


def show(report: Any) -> None:
    """Print a report for a reader."""
    VIEWS[type(report)](report, Page(highlight=False, markup=False, emoji=False))
