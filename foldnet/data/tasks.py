"""What a network learns on a dataset: how far off its outputs are, and how they are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


class Task(Protocol):
    """A dataset brings its task, so that training and evaluation need not know what its targets are."""

    @property
    def measure(self) -> str:
        """What the score is called: "accuracy" or the like, 0..1, more is better."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What `counts` counts; the first are the examples that were answered wholly right."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch's examples, a scalar in nats. outputs (b, ...) float32, targets (b, ...)."""

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the score is made of, as sums over the examples: (len(parts),) int64."""

    def score(self, counts: Sequence[int], examples: int) -> float:
        """The score, 0..1, from the sums of `counts` over so many examples."""


@dataclass(frozen=True, slots=True)
class Classification:
    """One class an image: cross-entropy, and the share of images classified right. Shapes: outputs (b, classes), targets (b,)."""

    measure: str = "accuracy"
    parts: tuple[str, ...] = ("right",)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy."""
        return nn.functional.cross_entropy(outputs, targets)

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(right,)."""
        return (outputs.argmax(1) == targets).sum(dtype=torch.int64).view(1)

    def score(self, counts: Sequence[int], examples: int) -> float:
        """Share of images classified right."""
        return counts[0] / max(examples, 1)


CLASSES = Classification()
