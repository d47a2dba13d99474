"""How a fold is shown beside chance: what untrained networks would merge, and what is not worth advising."""

from rich.console import Console

from foldnet.choosing.advice import Advice
from foldnet.choosing.chance import LIKELY, FoldChance


def show_near_misses(advice: Advice, console: Console) -> None:
    """What would loop a little lower, where chance would not make it so."""
    for miss in advice.worth_saying():
        console.print(f"near miss: {miss}", style="dim")


def show_chance(advice: Advice, console: Console) -> None:
    """How many untrained networks would have merged or looped as much, or where the first merge is if there was none."""
    chance, first = advice.chance, advice.first_merge
    if chance.merges is not None:
        loops = "" if chance.loops is None else f", {share(chance.loops)} loop as much"
        console.print(f"of untrained networks {share(chance.merges)} merge as much{loops}")
        if max(chance.merges, chance.loops or 0.0) > LIKELY:
            console.print("that may be chance: --threshold chance merges what 95 % of them do not", style="yellow")
    if first is not None:
        height = f"{int(first.height * 1000) / 1000:.3f}"  # rounded down, so that the threshold said really merges
        console.print(f"nothing merged; at --threshold {height} something would", style="yellow")
        if not first.beyond_chance:
            console.print("but so it would in more than 5 % of untrained networks", style="yellow")


def chance_column(chance: FoldChance, group: str) -> str:
    """The share of untrained networks in which one group would merge as much; nothing where it did not merge."""
    found = chance.of_group(group)
    return "" if found is None else share(found) + (" (!)" if found > LIKELY else "")


def share(value: float) -> str:
    """A share of thousands of draws: 0.0362 -> "3.6 %", and never 0."""
    return f"{100 * value:.1f} %" if value >= 0.0005 else "< 0.1 %"
