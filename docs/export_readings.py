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
