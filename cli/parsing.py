"""From what a user typed to values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def parse_thresholds(given: list[str]) -> tuple[float | str | None, tuple[tuple[str, float], ...]]:
    """["0.95", "stage2=0.9"] -> (0.95, (("stage2", 0.9),)); "auto" and "chance" stay words. Raises SettingError for
    anything else."""
    from foldnet.errors import SettingError

    overall: float | str | None = None
    single = []
    for entry in (part.strip() for text in given for part in text.split(",")):
        if entry in ("auto", "chance"):
            overall = entry
            continue
        group, equals, number = entry.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise SettingError(
                f"--threshold '{entry}' is not a number or GROUP=NUMBER; write 0.95, stage2=0.9, chance or auto"
            ) from None
        if equals:
            single.append((group, value))
        else:
            overall = value
    return overall, tuple(single)


def parse_steps(given: list[str]) -> dict[str, int]:
    """["stage2.loop1=5"] -> {"stage2.loop1": 5}. Raises SettingError for anything else."""
    from foldnet.errors import SettingError

    steps = {}
    for entry in (part.strip() for text in given for part in text.split(",")):
        loop, equals, number = entry.rpartition("=")
        try:
            steps[loop] = int(number)
        except ValueError:
            equals = ""
        if not equals or not loop:
            raise SettingError(f"--steps '{entry}' is not LOOP=NUMBER; write stage2.loop1=5")
    return steps


def names(given: str | None) -> tuple[str, ...]:
    """Names between commas: "a, b" -> ("a", "b")."""
    return tuple(name.strip() for name in given.split(",") if name.strip()) if given else ()


def refuse_together(option: str, others: Mapping[str, Any]) -> None:
    """Raise SettingError where an option that excludes `others` comes with one of them: not None, False or empty."""
    from foldnet.errors import SettingError

    for name, value in others.items():
        if value is not None and value is not False and value != ():
            other = "--" + name.rstrip("s").replace("_", "-") if name == "thresholds" else "--" + name.replace("_", "-")
            raise SettingError(f"{option} and {other} contradict each other; give one of them")


def parse_sizes(given: str) -> tuple[int, ...]:
    """ "1,128" -> (1, 128). Raises SettingError for anything else."""
    return whole_numbers("--batch-sizes", given, "1,128")


def parse_trips(given: str) -> tuple[int, ...]:
    """ "10,20" -> (10, 20). Raises SettingError for anything else."""
    return whole_numbers("--trips", given, "10,20,40")


def whole_numbers(option: str, given: str, example: str) -> tuple[int, ...]:
    """Whole numbers between commas. Raises SettingError for anything else."""
    from foldnet.errors import SettingError

    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError:
        raise SettingError(f"{option} '{given}' is not whole numbers with commas; write {example}") from None
