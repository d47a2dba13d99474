"""How reports look: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as Grid
from rich.text import Text

from foldnet.show.report import WIDTH, Report, Table, shown, spelt_out, wrapped
from foldnet.store.files import runs_home
from foldnet_cli.page import Page, shortened
from foldnet_cli.words import spoken, spoken_notes

if TYPE_CHECKING:
    from foldnet.analysis.chance import GroupLsm
    from foldnet.drawing.output import Written
    from foldnet.verbs.lsm import LsmReport
    from foldnet.verbs.train import TrainReport


WIDEST_WITH_NUMBERS = 12  # layers up to which a shaded cell also carries its number; without shades all do
LONGEST_LAYER = 24  # letters of a layer's name
LONGEST_NAME = 40  # letters of a name up to which values stand beside it
SHOWN_LAYERS = 40  # a wider matrix does not fit a terminal; its file does


def show_lsm(report: LsmReport, console: Console) -> None:
    """A matrix a group."""
    where = report.run or "network in memory"
    epoch = "" if report.epoch is None else f", checkpoint {report.checkpoint} (epoch {report.epoch})"
    console.print(f"layer similarity by {report.metric}: {where}{epoch}")
    for group in report.groups:
        console.print()
        _show_matrix(group, console)


def _show_matrix(group: GroupLsm, console: Console) -> None:
    """One group as a shaded matrix, white where layers are alike; a star marks what chance rarely shows."""
    from foldnet.analysis.chance import beyond_chance, shown_level

    count, names = len(group.layers), [shortened(_short(layer, group.name), LONGEST_LAYER) for layer in group.layers]
    chance, starred = group.chance, beyond_chance(group.matrix, group.chance)
    width = max(map(len, names))
    title = f"{group.name}: {count} layers" + (f", {group.templates} templates" if group.templates else "")
    console.print(Text(title, style="bold"))
    shaded = console.is_terminal and console.color_system is not None
    bare = shaded and count > WIDEST_WITH_NUMBERS
    if count <= SHOWN_LAYERS:
        at_once = count if console.is_terminal else (WIDTH - width - 1) // len(_cell(0.0, False, bare))
        for first in range(0, count, at_once):
            columns = range(first, min(first + at_once, count))
            if at_once < count:
                console.print(f"columns {first + 1} to {columns[-1] + 1}")
            for i, (name, row) in enumerate(zip(names, group.matrix, strict=True)):
                line = Text(f"{name:>{width}} ")
                for j in columns:
                    cell = _cell(float(row[j]), bool(starred[i, j]), bare)
                    line.append(cell, style=_shade(float(row[j])) if shaded else "")
                console.print(line)
    else:
        console.print("too wide for a terminal; write it with -o FILE.png or FILE.csv")
    if chance.network_q95 is not None and chance.mean is not None and chance.max is not None:
        top = group.max_off_diagonal
        console.print(
            f"largest off-diagonal {top:.3f}; by chance: mean {chance.mean:.2f}, expected maximum {chance.max:.2f}"
        )
        console.print(f"* above {shown_level(chance.network_q95)}: reached in under 5 % of untrained networks")
    if group.disagreements:
        pairs = ", ".join("=".join(_short(layer, group.name) for layer in pair) for pair in group.disagreements)
        console.print(f"the two metrics disagree at 0.95 on {pairs}", style="yellow")


def _cell(value: float, starred: bool, bare: bool) -> str:
    """The text of a cell: its number unless a shade alone must do, a star where it exceeds chance."""
    star = "*" if starred else " "
    return f" {star}" if bare else f" {value:.2f}{star}"


def _shade(value: float) -> str:
    """Grey by similarity: white is 1, as in the paper's Figure 2."""
    level = round(255 * min(max(value, 0.0), 1.0))
    ink = "black" if level > 127 else "white"
    return f"{ink} on rgb({level},{level},{level})"


def _short(layer: str, group: str) -> str:
    """A layer's name inside its group."""
    return layer.removeprefix(f"{group}.")


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
    console.print(f"next: {soft if report.arch.startswith('s') else plain}")


def show_written(report: Written, console: Console) -> None:
    """Where a file is; its name is said as it stands."""
    console.print(f"wrote {report.file}")


VIEWS: dict[str, Callable[[Any, Console], None]] = {  # by the name of the report's type
    "LsmReport": show_lsm,
    "TrainReport": show_train,
    "Written": show_written,
}


def to_json(report: Any) -> str:
    """One JSON object."""
    return json.dumps(spoken_notes(report.to_json()), allow_nan=False)


def show(report: Any) -> None:
    """Print a report for a reader."""
    VIEWS.get(type(report).__name__, show_parts)(report, Page(highlight=False, markup=False, emoji=False))
