"""How docs/export.md writes what exported files cost, of examples/benchmarks/exported.json."""

from typing import Any


def loops_written(network: dict[str, Any]) -> str:
    """The trips of the loops, loops in loops by their program: 3x, 3x, 3x."""
    if not network["loops"]:
        return "none"
    lines = [line.split(": ", 1)[1] for line in network["program"].splitlines() if "x {" in line]
    return ", ".join(f"`{line.replace('private; ', '')}`" for line in dict.fromkeys(lines))


def milliseconds(seconds: float) -> str:
    """A time: 3.2 ms."""
    return f"{1000 * seconds:.3g} ms"
