"""What `foldnet verify` found: a certificate, and what it says when a promise is broken."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from foldnet.errors import BrokenPromise
from foldnet.folding.compare import PAIRS, Comparison, Difference, LayerDifference
from foldnet.folding.promises import Promise
from foldnet.show.report import Report, Table

Numbers = dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Certificate(Report):
    """Whether the forms of one fold compute the same, recomputed.

    `comparisons` has one entry for each kind of inputs, "test" and "random"; what is said without naming one is the worst of
    both. Pairs are "dense" (to soft) and "looped" (to tied); None is what was not compared, and `notes` say why. Accuracies
    are 0..1, in the data's own `measure`, `bytes` are those of a safetensors file of each form (of the folded one: of its file), `files` the SHA-256 of the
    fold's files, `checkpoint_sha256` the digest of the run's soft weights as they are now.
    """

    fold: str
    run: str
    device: str
    promises: tuple[Promise, ...]
    comparisons: tuple[Comparison, ...]
    layers: tuple[LayerDifference, ...]
    measure: str
    accuracy: dict[str, float | None]
    images: int | None
    parameters: Numbers
    bytes: Numbers
    files: dict[str, str]
    checkpoint_sha256: str | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every promise holds."""
        return all(promise.held for promise in self.promises)

    @property
    def agreement(self) -> float | None:
        """Share of predictions in which looped and tied are alike."""
        return min((comparison.agreement for comparison in self.comparisons), default=None)

    @property
    def agreement_soft(self) -> float | None:
        """Share of the test images, else of the random inputs, that looped and soft predict alike."""
        return next((comparison.agreement_soft for comparison in self.comparisons), None)

    def worst(self, pair: str, measure: str) -> float | None:
        """The largest of one measure of a pair's logits, such as ("looped", "relative"); None where not compared."""
        found = [comparison.logits[pair] for comparison in self.comparisons]
        return _largest(getattr(difference, measure) for difference in found if difference is not None)

    def check(self) -> None:
        """Raise BrokenPromise, naming every promise that does not hold."""
        broken = [promise for promise in self.promises if not promise.held]
        if broken:
            said = "; ".join(f"{promise.name}: {promise.value!r} instead of {_wanted(promise)}" for promise in broken)
            count = "a promise" if len(broken) == 1 else f"{len(broken)} promises"
            raise BrokenPromise(f"fold '{self.fold}' breaks {count} ({said}); fold the run again")

    def tables(self) -> tuple[Table, ...]:
        """A row for each promise."""
        rows = tuple((promise.name, promise.held, str(promise.value), str(promise.limit)) for promise in self.promises)
        return (Table(self.fold, ("promise", "held", "found", "wanted"), rows),)

    def texts(self) -> tuple[str, ...]:
        """What was not checked, and why."""
        return self.notes

    def to_json(self) -> dict[str, Any]:
        """As plain data; what is no finite number is null."""
        return {
            "fold": self.fold,
            "run": self.run,
            "passed": self.passed,
            "device": self.device,
            "precision": "fp32",
            "max_abs_difference": {pair: _finite(self.worst(pair, "max_abs")) for pair in PAIRS},
            "mean_abs_difference": {pair: _finite(self.worst(pair, "mean_abs")) for pair in PAIRS},
            "relative_difference": {pair: _finite(self.worst(pair, "relative")) for pair in PAIRS},
            "agreement": self.agreement,
            "agreement_soft": self.agreement_soft,
            "measure": self.measure,
            "accuracy": self.accuracy,
            "images": self.images,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "promises": [asdict(promise) for promise in self.promises],
            "inputs": [_comparison(comparison) for comparison in self.comparisons],
            "layers": [
                {"name": layer.name, "kind": layer.kind} | {pair: _difference(getattr(layer, pair)) for pair in PAIRS}
                for layer in self.layers
            ],
            "files": self.files,
            "checkpoint_sha256": self.checkpoint_sha256,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


def _wanted(promise: Promise) -> str:
    """What a promise asks for, in words."""
    is_ceiling = isinstance(promise.limit, float) or promise.name.startswith("bytes of the folded")
    return f"at most {promise.limit}" if is_ceiling else repr(promise.limit)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """One kind of inputs as plain data."""
    return {
        "inputs": comparison.inputs,
        "count": comparison.count,
        **{pair: _difference(difference) for pair, difference in comparison.logits.items()},
        "agreement": comparison.agreement,
        "undecided": comparison.undecided,
        "agreement_soft": comparison.agreement_soft,
    }


def _difference(difference: Difference | None) -> dict[str, float | None] | None:
    """A difference as plain data."""
    return None if difference is None else {name: _finite(value) for name, value in asdict(difference).items()}


def _finite(value: float | None) -> float | None:
    """JSON knows neither infinity nor what is not a number."""
    return value if value is not None and math.isfinite(value) else None


def _largest(values: Iterable[float]) -> float | None:
    """The largest, where what is not a number counts as more than any number; None of nothing."""
    return max(values, key=lambda value: (math.isnan(value), value), default=None)
