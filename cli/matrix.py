"""How similarities look in a terminal: a shaded matrix for each group, beside what chance makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from foldnet.analysis.chance import GroupLsm, beyond_chance, shown_level
from foldnet.show.report import WIDTH, shortened

if TYPE_CHECKING:
    from foldnet.verbs.lsm import LsmReport

WIDEST_WITH_NUMBERS = 12  # layers up to which a shaded cell also carries its number; without shades all do
LONGEST_LAYER = 24  # letters of a layer's name
SHOWN_LAYERS = 40  # a wider matrix does not fit a terminal; its file does


def show_matrices(report: LsmReport, console: Console) -> None:
    """A matrix a group."""
    where = report.run or "network in memory"
    epoch = "" if report.epoch is None else f", checkpoint {report.checkpoint} (epoch {report.epoch})"
    console.print(f"layer similarity by {report.metric}: {where}{epoch}")
    for group in report.groups:
        console.print()
        _show_matrix(group, console)


def _show_matrix(group: GroupLsm, console: Console) -> None:
    """One group as a shaded matrix, white where layers are alike; a star marks what chance rarely shows."""
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
