"""Where commands print: reports, as tables for people and one JSON object for programs, and the sentences beside them.
Nothing here waits for torch, which may be half imported when a command fails."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table as Grid
from rich.text import Text

from foldnet.show.report import WIDTH, Report, Table, shown, spelt_out, wrapped
from foldnet.store.files import runs_home

if TYPE_CHECKING:
    from foldnet.drawing.output import Written
    from foldnet.verbs.lsm import LsmReport
    from foldnet.verbs.train import TrainReport


class Page(Console):
    """A console whose lines fit: into the terminal, elsewhere into 80 columns.

    Its reader may go away, as head does; the guard then ends the program as a success. What names and the contents of
    files could do to a terminal is taken out of all that is printed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not self.is_terminal:
            self.width = WIDTH

    def print(self, *objects: Any, **options: Any) -> None:
        """Tables fold their cells, text goes on in the next line; a word is never broken, so that paths can be
        copied."""
        for entry in objects or ("",):
            if isinstance(entry, Grid):
                for column in entry.columns:
                    column.overflow = "fold"
                super().print(entry, **options)
                continue
            line = wrapped(spelt_out(entry), width=self.width) if isinstance(entry, str) else entry
            super().print(line, **{"soft_wrap": True} | options)

    def on_broken_pipe(self) -> None:
        """Pass on what rich would turn into exit code 1."""
        raise BrokenPipeError

    def render_str(self, text: str, **how: Any) -> Text:
        """A text, cleaned before it is measured: a column is as wide as what stands in it."""
        return super().render_str(spelt_out(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of a line; those that move the cursor of a progress bar are rich's own, and stay."""
        for segment in super().render(renderable, options):
            harmless = segment.control is not None or spelt_out(segment.text) == segment.text
            yield segment if harmless else Segment(spelt_out(segment.text), segment.style)


def spoken(text: str) -> str:
    """A sentence of the library as one of the command line. Most quote no code, which is all that words.py turns."""
    if "`" not in text:
        return text
    from foldnet_cli.words import spoken as turned

    return turned(text)


def tell(text: str, style: str = "") -> None:
    """A line on stderr, beside what stdout holds."""
    Page(stderr=True, highlight=False, markup=False, emoji=False).print(text, style=style)


def complain(text: str, *, fault: bool = True) -> None:
    """One sentence on stderr, in one line; a terminal's lines end between words. Where stderr cannot be written, the
    exit code must do.

    Without `fault` it is no error that is told.
    """
    console, start = Page(stderr=True, highlight=False), "Error: " if fault else ""
    said = printable(start + spoken(text))
    with suppress(OSError):
        # Not `is_terminal`, which FORCE_COLOR makes true of a pipe, whose reader counts lines.
        if console.file.isatty():
            said = Text(wrapped(said.plain, width=console.width))
        said.stylize("bold red", 0, len(start))
        console.print(said)


def warn(text: str) -> None:
    """One sentence on stderr about something that is no error."""
    tell(f"warning: {printable(spoken(text))}", "yellow")


def printable(text: str) -> Text:
    """A line of text as it stands, no markup, and what would move the cursor or colour the terminal written out."""
    return Text(spelt_out(text).replace("\n", "\\n"))


STYLES = {"": "", "dim": "dim", "note": "yellow", "alarm": "bold red"}
LONGEST_NAME = 40  # letters of a name up to which values stand beside it
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
        width = max((len(name) for name, _ in self.rows if len(name) <= LONGEST_NAME), default=0) + 2
        for name, value in self.rows:
            value = spelt_out(value)
            longest = max(map(len, value.split()), default=0)
            # A path that does not fit beside, or what belongs to a long name.
            below = longest > options.max_width - width or len(name) + 2 > width
            yield Text(name if below else f"{name:<{width}}", style="dim", end="\n" if below else "")
            said = wrapped(value, indent=2 if below else width, width=options.max_width)
            yield Text(said if below else said.lstrip())


def show_train(report: TrainReport, console: Console) -> None:
    """What was trained, and what comes next."""
    show_parts(report, console)
    run = Path(report.run)
    at_home = run.resolve().parent == runs_home().resolve()  # then it is the newest, which commands take by themselves
    named = "" if at_home else f" {shlex.quote(report.run)}"
    soft = f"foldnet lsm{named}, foldnet fold{named}, foldnet render graph{named}"
    plain = f"foldnet evaluate{named}, foldnet lsm{named} (nothing is shared, so there is nothing to fold)"
    hard = f"foldnet evaluate{named} (it shares hard already, so there is nothing left to fold)"
    file, colon, _ = report.arch.partition(":")  # a user's file runs only where it is named
    code = f", each with --code and the path of {file}" if colon else ""
    console.print(f"next{code}: {hard if report.tied else soft if report.templates else plain}")


def show_written(report: Written, console: Console) -> None:
    """Where a file is; its name is said as it stands."""
    console.print(f"wrote {report.file}")


def show_lsm(report: LsmReport, console: Console) -> None:
    """A matrix a group."""
    from foldnet_cli.matrix import show_matrices

    show_matrices(report, console)


VIEWS: dict[str, Callable[[Any, Console], None]] = {  # by the name of the report's type
    "LsmReport": show_lsm,
    "TrainReport": show_train,
    "Written": show_written,
}


def to_json(report: Any) -> str:
    """One JSON object."""
    from foldnet_cli.words import spoken_notes

    return json.dumps(spoken_notes(report.to_json()), allow_nan=False)


def show(report: Any) -> None:
    """Print a report for a reader."""
    VIEWS.get(type(report).__name__, show_parts)(report, Page(highlight=False, markup=False, emoji=False))
