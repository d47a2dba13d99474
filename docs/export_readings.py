"""How docs/export.md writes what exported files cost, of examples/benchmarks/exported-PROCESSOR.json."""

import re
from collections.abc import Iterable
from typing import Any

from readings import FILES, read

Made = dict[str, Any]  # what one machine measured


def machines(pattern: str) -> list[Made]:
    """What each machine measured, by the names of the files."""
    return [read(file.stem) for file in sorted(FILES.glob(f"{pattern}.json"))]


def processors(made: Iterable[Made]) -> list[str]:
    """The names of their processors: AMD EPYC."""
    return [re.sub(r"\(\w+\)| Processor", "", one["machine"]["processor"]) for one in made]


def largest(made: Iterable[Made], network: str) -> float:
    """The largest difference of a network's file on any machine."""
    return max(float(one["result"][network]["largest_as_found"]) for one in made)


def time_of(network: dict[str, Any], batch: str) -> str:
    """The time in loops by that written out, and that: 1.06 of 4.12 ms."""
    return f"{network['time_ratio'][batch]:.2f} of {milliseconds(network['seconds'][batch]['unrolled'])}"


def loops_written(network: dict[str, Any]) -> str:
    """The trips of the loops, loops in loops by their program: 3x, 3x, 3x."""
    if not network["loops"]:
        return "none"
    lines = [line.split(": ", 1)[1] for line in network["program"].splitlines() if "x {" in line]
    return ", ".join(f"`{line.replace('private; ', '')}`" for line in dict.fromkeys(lines))


def milliseconds(seconds: float) -> str:
    """A time: 3.2 ms."""
    return f"{1000 * seconds:.3g} ms"


MOST, SHORT = 1.15, 0.005  # of the time written out, which loops should keep to; seconds of which it is not asked


def most() -> float:
    """MOST, for the page."""
    return MOST


def slower(networks: dict[str, dict[str, Any]]) -> list[str]:
    """The networks whose loops take more than MOST times the time written out."""
    return [
        name
        for name, one in networks.items()
        if any(
            ratio > MOST and (batch != "1" or one["seconds"][batch]["unrolled"] >= SHORT)
            for batch, ratio in one["time_ratio"].items()
        )
    ]


def spent(operators: dict[str, float], *kinds: str) -> str:
    """Milliseconds of some kinds of operators."""
    return f"{sum(operators.get(kind, 0.0) for kind in kinds):.1f}"
