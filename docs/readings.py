"""What README and docs/ read from examples/benchmarks/, and how they write it."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace
from typing import Any

from foldnet.choosing.sweep import within_drop

FILES = Path(__file__).parents[1] / "examples" / "benchmarks"
HOME = "examples/benchmarks"


@cache
def read(name: str) -> dict[str, Any]:
    """One file of benchmarks/, by its name without the ending."""
    content: dict[str, Any] = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    return content


def result(name: str) -> Any:
    """What was measured; what measured it stands beside it."""
    content = read(name)
    return content.get("result", content)


def measured(*names: str) -> bool:
    """Whether all of these files exist."""
    return all((FILES / f"{name}.json").is_file() for name in names)


def seeds(pattern: str, numbers: Iterable[int]) -> list[Any]:
    """The results of a measurement whose name has a star where the seed stands."""
    return [result(pattern.replace("*", str(number))) for number in numbers]


def percent(share: float, digits: int = 2) -> str:
    """A share as per cent."""
    return f"{100 * share:.{digits}f} %"


def fixed(number: float, digits: int = 2) -> str:
    """A number with as many decimals."""
    return f"{number:.{digits}f}"


def thousands(number: float) -> str:
    """A whole number with commas."""
    return f"{round(number):,}"


def listed(words: Iterable[Any], last: str = "and") -> str:
    """a, b and c."""
    known = [str(word) for word in words]
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} {last} {known[-1]}"


def spread(shares: Iterable[float], digits: int = 2, scale: float = 100) -> str:
    """Mean ± standard deviation, of shares in per cent."""
    known = [scale * share for share in shares]
    return f"{mean(known):.{digits}f} ± {stdev(known):.{digits}f}"


def right(accuracy: dict[str, Any], stage: str) -> int:
    """How many images of a fold's report are right at a stage of folding."""
    return round(accuracy[stage] * accuracy["images"])


def machine(name: str) -> str:
    """What a file was measured with, in words."""
    return in_words(read(name)["machine"])


def in_words(found: dict[str, Any] | str) -> str:
    """A machine that a file names."""
    if isinstance(found, str):
        return found
    vectors = next((vector for vector in found["vectors"]), "no vectors")
    return f"{found['cores']} cores of an {found['processor']} with {vectors}, no GPU; torch {found['torch'].split('+')[0]}"


def source(name: str, words: str = "JSON", up: str = "") -> str:
    """A link to a file of benchmarks/."""
    if not measured(name):
        raise FileNotFoundError(f"there is no {HOME}/{name}.json")
    return f"[{words}]({up}{HOME}/{name}.json)"


def ties(name: str, unit: str, tie: str) -> list[dict[str, Any]]:
    """The rows of a study of ties, a row a run."""
    return [row for row in result(name) if (row["unit"], row["tie"]) == (unit, tie)]


def stored_numbers(fold: dict[str, Any]) -> int:
    """The numbers of shared weights and residuals that a fold stores."""
    groups = fold["groups"]
    return sum(group["stored"] * group["weight_numbers"] + group.get("residual_numbers", 0) for group in groups)


def gaps(name: str, first: tuple[str, str], second: tuple[str, str], key: str) -> list[float]:
    """How much more one (unit, tie) has than another, run by run."""
    pairs = zip(ties(name, *first), ties(name, *second), strict=True)
    return [one[key] - other[key] for one, other in pairs]


def smallest_within(points: list[dict[str, Any]], soft: float, drop: float) -> Any:
    """What `foldnet fold --max-drop` takes of a sweep, chosen by the function that the command uses."""
    return within_drop(tuple(SimpleNamespace(score=point["accuracy"], **point) for point in points), soft, drop / 100)


def networks(name: str, words: str) -> list[dict[str, Any]]:
    """The networks of a reach whose path holds these words."""
    return [network for network in result(name)["networks"] if words in network["path"]]


def at(network: dict[str, Any], steps: int, recalibrated: bool = False) -> dict[str, Any]:
    """What a network of a reach did with so many steps."""
    return next(
        point for point in network["points"] if (point["steps"], point["recalibrated"]) == (steps, recalibrated)
    )


def at_trips(series: list[dict[str, Any]], trips: int) -> float:
    """The accuracy of a loop at so many trips."""
    return float(next(point["accuracy"] for point in series if point["steps"] == trips))


def curve(network: str, key: str = "f1") -> list[list[float]]:
    """The curves of one network of the small study of shortest paths, a list a seed."""
    return [row[key] for row in result("paths-small-seeds0to2") if row["network"] == network]


def over_phases(first: str, second: str, start: int) -> list[float]:
    """By seed, how much higher one network's F1 is than another's, on average over the epochs from `start` on, in points."""
    return [
        100 * mean(a - b for a, b in zip(one[start:], other[start:], strict=True))
        for one, other in zip(curve(first), curve(second), strict=True)
    ]


def matrix(group: dict[str, Any], mark: float) -> str:
    """A similarity matrix as `foldnet lsm` prints it where it cannot shade."""
    names = [name.split(".", 1)[1] for name in group["layers"]]
    width = max(map(len, names))
    rows = []
    for i, (name, row) in enumerate(zip(names, group["matrix"], strict=True)):
        cells = [f"{value:.2f}{'*' if i != j and value > mark else ' '}" for j, value in enumerate(row)]
        rows.append(f"{name:<{width}}  {' '.join(cells)}".rstrip())
    return "\n".join(rows)
