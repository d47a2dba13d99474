"""foldnet study: many trainings that belong together."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foldnet_cli.guard import minding_signals, speaking
from foldnet_cli.options import AGAINST, FORCE, argument, keyword, out_file, shared, switch, takes
from foldnet_cli.page import Page, tell
from foldnet_cli.words import spoken

FILE = argument("file", "FILE", "Study file: a TOML table [grid], whose lists multiply.").replace(default=...)
JOBS = "Trials at one time.  [default: 1; with ray all that fit]"
THREADS = "Threads of a trial.  [default: the cores shared out]"
RETRIES, DRY = "How often a trial that fails is tried again.", "Say what would run, and how long; run nothing."
ENGINE, DOWNLOAD = (
    "local, or ray: over a cluster that `ray start` made.",
    "Fetch CIFAR into --data-dir if it is not there.",
)
RESULTS = "Result file of a study whose trials count as run (repeatable)."
PLAIN = "markdown or csv, to print instead of a table for the terminal."
GIVEN_RESULTS = keyword("results", list[Path], None, "--results", metavar="FILE", help=RESULTS, show_default=False)


@takes(
    FILE,
    keyword("out", Path, None, "--out", help="Folder of the study.  [default: studies/NAME beside the runs]"),
    keyword("jobs", int, None, metavar="<int>", help=JOBS, show_default=False),
    keyword("threads", int, None, min=1, metavar="<int>", help=THREADS, show_default=False),
    keyword("retries", int, 0, min=0, metavar="<int>", help=RETRIES),
    switch("fail_fast", "End all when a trial fails for good."),
    switch("dry_run", DRY),
    GIVEN_RESULTS,
    keyword("engine", str, "local", help=ENGINE, autocompletion=lambda: ["local", "ray"]),
    *shared("data_dir", "device"),
    switch("download", DOWNLOAD),
)
def run(file: Path, results: list[Path] | None, **given: Any) -> Any:
    """Run the trials of a study file. What is finished is skipped, what was stopped goes on, what changed is new.

    Ctrl-C saves and stops all; the same command goes on.
    """
    from foldnet.verbs.study import run_study

    with _watching() as watcher:
        return run_study(file, results=results or (), watcher=watcher, **given)


@takes(
    argument("study", "STUDY", "Study folder, or a result file; left out, the newest study."),
    keyword("against", str, None, metavar="NAME", help=AGAINST, show_default=False),
    GIVEN_RESULTS,
    keyword("format", str, None, "--format", help=PLAIN, autocompletion=lambda: ["markdown", "csv"]),
    out_file("File to write instead, .md or .csv."),
    FORCE,
)
def table(
    study: Path | None, results: list[Path] | None, format: str | None, output: Path | None, force: bool, **given: Any
) -> Any:
    """Mean and deviation over seeds, parameters and time; with --against differences with their 95 % interval."""
    from foldnet.drawing.output import STUDY
    from foldnet.verbs.study import study_table, write_table
    from foldnet_cli.outputs import taken

    report = study_table(taken(study, STUDY), results=results or (), **given)
    if output is not None:
        write_table(report, output, force=force)
        tell(f"wrote {output}")
    elif format is None:
        return report
    else:
        with speaking():
            sys.stdout.write(report.printed(format))
    return None


def study() -> dict[str, Callable[..., Any]]:
    """The commands."""
    return {"run": run, "table": table}


@contextmanager
def _watching() -> Iterator[Any]:
    """A live table of the study on a terminal, a line for each trial that ends elsewhere; all on stderr."""
    from rich.live import Live

    console = Page(stderr=True, markup=False, emoji=False)
    if not console.is_terminal:
        lines = _Lines(console)
        with minding_signals(lines):
            yield lines
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        table = _Table(console, live)
        with minding_signals(table):
            yield table


class _Lines:
    """A line for each trial that ends. The first Ctrl-C, or SIGTERM, only asks for the end, once trials run."""

    saves = True

    def __init__(self, console: Any) -> None:
        self.console = console
        self.begun = self.stopping = False

    def changed(self, course: Any) -> None:
        """A log needs no epochs."""
        self.begun = True

    def said(self, sentence: str) -> None:
        """A line."""
        self.console.print(spoken(sentence), highlight=False)

    def wants_stop(self) -> bool:
        """Whether there was a Ctrl-C."""
        return self.stopping

    def signalled(self) -> None:
        """A Ctrl-C came. Raises KeyboardInterrupt, unless trials run that have something to save."""
        if self.stopping or not self.begun:
            raise KeyboardInterrupt
        self.stopping = True
        self.said("saving what runs, then stopping; Ctrl-C again stops at once")


class _Table(_Lines):
    """What runs, with the epochs that it has come to."""

    def __init__(self, console: Any, live: Any) -> None:
        super().__init__(console)
        self.live = live

    def changed(self, course: Any) -> None:
        """Draw the table anew."""
        from rich.table import Table

        super().changed(course)
        rows = Table("running", "epoch", "of", "for", title=_counts(course), title_justify="left", box=None)
        for title, epoch, epochs, seconds in course.under_way():
            rows.add_row(title, str(epoch), str(epochs), f"{seconds:.0f} s")
        self.live.update(rows, refresh=True)


def _counts(course: Any) -> str:
    """How many trials are in which state."""
    states = [course.state(trial) for trial in course.trials]
    known = ("finished", "running", "failed", "waiting")
    return ", ".join(f"{states.count(state)} {state}" for state in known if state in states)
