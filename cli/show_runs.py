"""How the list of runs looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from foldnet.show.scores import megabytes, scored
from foldnet.store.home import runs_home
from foldnet_cli.words import spoken

if TYPE_CHECKING:
    from foldnet.verbs.listing import RunLine

NAMES = 40  # columns up to which the names of runs are set below each other


def show_runs(report: tuple[RunLine, ...], console: Console) -> None:
    """A line a run and, indented, a line a fold; damaged runs at the end."""
    if not report:
        console.print(f"no runs under '{runs_home()}'; train one with `foldnet train`")
        return
    sound = [line for line in report if line.problem is None]
    names = [line.run for line in sound] + [f"  {fold.fold}" for line in sound for fold in line.folds]
    width = min(max(map(len, names), default=0), NAMES)
    for line in sound:
        test = scored(line.test_accuracy, line.measure)
        trained = f"{line.arch} {line.dataset}, seed {line.seed}, {line.epochs}/{line.of} epochs"
        console.print(f"{line.run:<{width}}  {trained}, {test}, {megabytes(line.bytes)}")
        for fold in line.folds:
            console.print(f"{'  ' + fold.fold:<{width}}  fold, {spoken(str(fold))}")
    for line in report:
        if line.problem is not None:
            console.print(f"damaged: {line.run}: {spoken(line.problem)}", style="yellow")
