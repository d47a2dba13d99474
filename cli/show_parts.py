"""How the tables and texts of a report look on a terminal."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as Grid
from rich.text import Text as Line

from foldnet.show.lines import spelt_out, wrapped
from foldnet.show.report import Report, Table, shown
from foldnet_cli.words import spoken

STYLES = {"": "", "dim": "dim", "note": "yellow", "alarm": "bold red"}
NARROW = 13  # columns: a cell of so few goes on in no second line


def show_parts(report: Report, console: Console) -> None:
    """One part after the other; a title, and a table behind another one, stand behind an empty line."""
    last = None
    for part in report.parts():
        if not isinstance(part, Table):
            # Whatever calls for attention may quote files, which are not to break lines.
            text = part.text.replace("\n", "\\n") if part.tone else part.text
            console.print(spoken(text), style=STYLES[part.tone])
        elif part.rows or not part.columns:
            if part.title or isinstance(last, Table):
                console.print()
            if part.title:
                console.print(part.title)
            console.print(grid_of(part) if part.columns else Pairs(part.rows))
        last = part


def grid_of(table: Table) -> Grid:
    """The table in columns."""
    rows = [[spoken("-" if cell is None else shown(cell)) for cell in row] for row in table.rows]
    grid = Grid(box=None, pad_edge=False)
    for name, *cells in zip(table.columns, *rows, strict=True):
        grid.add_column(name, no_wrap=max(map(len, (name, *cells))) <= NARROW)
    last = None
    for (first, *row), tone in zip(rows, table.tones or [""] * len(rows), strict=True):
        grid.add_row("" if table.grouped and first == last else first, *row, style=STYLES[tone])
        last = first
    return grid


class Pairs:
    """Names and, beside them, values that go on below themselves; a word as long as a path is never broken."""

    def __init__(self, rows: Iterable[tuple[object, ...]]) -> None:
        self.rows = [(str(name), spoken(str(value))) for name, value in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A line a pair, or several."""
        width = max(len(name) for name, _ in self.rows) + 2
        for name, value in self.rows:
            value = spelt_out(value)
            below = (
                max(map(len, value.split()), default=0) > options.max_width - width
            )  # a path that does not fit beside
            yield Line(name if below else f"{name:<{width}}", style="dim", end="\n" if below else "")
            said = wrapped(value, indent=2 if below else width, width=options.max_width)
            yield Line(said if below else said.lstrip())
