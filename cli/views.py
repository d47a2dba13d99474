"""How reports look: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console

from foldnet.store.codec import to_plain
from foldnet_cli.page import Page
from foldnet_cli.show_lsm import show_lsm
from foldnet_cli.show_parts import show_parts
from foldnet_cli.show_runs import show_runs
from foldnet_cli.words import spoken_notes

if TYPE_CHECKING:  # importing the reports imports all that measures them
    from foldnet.drawing.output import Written
    from foldnet.verbs.doctor import Health
    from foldnet.verbs.train_report import TrainReport


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
    """Where a file is; its name is said as it stands."""
    console.print(f"wrote {report.file}")


VIEWS: dict[str, Callable[[Any, Console], None]] = {  # by the name of the report's type
    "Health": show_health,
    "LsmReport": show_lsm,
    "TrainReport": show_train,
    "Written": show_written,
    "tuple": show_runs,
}


def to_json(report: Any) -> str:
    """One JSON object; a list of reports becomes {"runs": [...]}."""
    if isinstance(report, tuple):
        return json.dumps(spoken_notes({"runs": to_plain(report)}), allow_nan=False)
    return json.dumps(spoken_notes(report.to_json()), allow_nan=False)


def show(report: Any) -> None:
    """Print a report for a reader."""
    VIEWS.get(type(report).__name__, show_parts)(report, Page(highlight=False, markup=False, emoji=False))
