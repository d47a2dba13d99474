"""How the checks of a machine look to a reader."""

import textwrap

from rich.console import Console
from rich.table import Table

from foldnet.verbs.check import FAILED, CheckReport, rows_of
from foldnet_cli.page import printable
from foldnet_cli.words import spoken

WIDTH = 80  # columns
STYLES = {FAILED: "bold red", "not here": "yellow"}


def show_checks(report: CheckReport, console: Console) -> None:
    """A row for each part, a sentence for each check that failed or is not here, and what it comes to."""
    table = Table("check", "what", "outcome", "measured", "limit", box=None, pad_edge=False)
    last = ""
    for name, *cells in rows_of(report):
        table.add_row("" if name == last else name, *cells, style=STYLES.get(cells[1], ""))
        last = name
    console.print(table)
    for check in report.checks:
        if check.why is not None:
            _say(console, f"{check.name} {check.outcome}: {spoken(check.why)}", STYLES.get(check.outcome, ""))
    if report.skipped:
        _say(console, f"left out: {', '.join(report.skipped)}", "yellow")
    failed = sum(check.outcome == FAILED for check in report.checks)
    verdict = f"{failed} of {len(report.checks)} checks failed" if failed else "everything that is here works"
    _say(console, f"{verdict}, on {report.device}, {report.seconds:.0f} s", "bold red" if failed else "")


def _say(console: Console, text: str, style: str) -> None:
    """A sentence in lines of at most 80 columns."""
    for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False):
        console.print(printable(line, style))
