"""How reports look: tables for people, one JSON object for programs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from foldnet.store.codec import to_plain
from foldnet.verbs.doctor import Health
from foldnet.verbs.lsm import LsmReport
from foldnet.verbs.train import TrainReport
from foldnet_cli.page import Page
from foldnet_cli.show_lsm import show_lsm
from foldnet_cli.show_parts import show_parts
from foldnet_cli.show_runs import show_runs
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


def show_health(report: Health, console: Console) -> None:
    """What is offered and chosen, and how to prove it."""
    show_parts(report, console)
    console.print("prove it: foldnet doctor --check")


def show_train(report: TrainReport, console: Console) -> None:
    """What was trained, and what comes next."""
    show_parts(report, console)
    soft = "foldnet lsm, foldnet fold, foldnet render graph"
    plain = "foldnet evaluate, foldnet lsm (nothing is shared, so there is nothing to fold)"
    console.print(f"next: {soft if report.arch.startswith('s') else plain}")


def show_written(report: Written, console: Console) -> None:
    """Where it is."""
    console.print(f"wrote {report.file}")


VIEWS: dict[type, Callable[[Any, Console], None]] = {
    Health: show_health,
    LsmReport: show_lsm,
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
    VIEWS.get(type(report), show_parts)(report, Page(highlight=False, markup=False, emoji=False))
