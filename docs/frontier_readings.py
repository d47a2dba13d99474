"""What docs/convert.md reads from the frontier of a converted network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from readings import in_words, measured, read, result

WAYS = {
    "low rank": "low rank, a layer each (the control)",
    "residual": "one owner a stage and residuals of low rank",
    "loops": "loops, one body a stage",
}


@dataclass(frozen=True)
class Point:
    """A way of storing a share of the weights: parameters of the network, and its accuracies as it was converted, with batch norm
    estimated anew, and distilled; None where that is the same or nothing."""

    share: str
    way: str
    parameters: int
    converted: float
    recalibrated: float | None
    finetuned: float


def complete(name: str) -> bool:
    """Whether all that a file of benchmarks/ is to hold was measured."""
    return measured(name) and set(read(name)["wanted"]) <= set(result(name)) and bool(read(name)["wanted"])


def measured_on(name: str) -> str:
    """The machines that it was measured with, in words."""
    return "; ".join(dict.fromkeys(in_words(entry["machine"]) for entry in result(name).values()))


def original(name: str) -> float:
    """The accuracy of the network that was converted."""
    return float(next(iter(result(name).values()))["result"]["score"]["original"])


def frontier(name: str) -> list[Point]:
    """The points, the largest share first."""
    return sorted(_points(result(name)), key=lambda point: -point.parameters)


def _points(entries: dict[str, Any]) -> Iterator[Point]:
    """Those of each configuration."""
    for called, entry in entries.items():
        way, share = called.split()
        found = entry["result"]
        if way == "residual":
            score, size = found["accuracy"], found["parameters"]["folded"]
            yield Point(share, WAYS[way], size, score["tied"], score["recalibrated"], score["finetuned"])
        elif way == "loops":
            score = found["score"]
            yield Point("", WAYS[way], found["parameters"], score["converted"], None, score["finetuned"])
        else:
            score, sizes = found["score"], found["parameters"]
            recalibrated = score["recalibrated"]
            yield Point(share, way, sizes["converted"], score["converted"], recalibrated, score["finetuned"])
            other = (score[f"low_rank{stage}"] for stage in ("", "_recalibrated", "_finetuned"))
            yield Point(share, WAYS["low rank"], sizes["control"], *other)


def lost(name: str, share: str) -> list[tuple[str, float]]:
    """By way the points of accuracy that are lost at a share, distilled; the least first."""
    points = [point for point in frontier(name) if point.share == share]
    return sorted(((p.way, 100 * (original(name) - p.finetuned)) for p in points), key=lambda pair: pair[1])
