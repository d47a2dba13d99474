"""What a network learns on a dataset: how far off its outputs are, and how they are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from foldnet.bounds import check_number


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

    def predict(self, outputs: Tensor) -> Tensor:
        """What the outputs say: outputs (b, ...) -> (b,) or (b, ...)."""

    def margin(self, outputs: Tensor) -> Tensor:
        """How far two outputs must move towards each other, or one towards zero twice, to change a prediction; shaped
        like those."""

    def imitation(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """How far the outputs are from a teacher's, both softened alike before, a scalar in nats: 0 where they
        agree."""


@dataclass(frozen=True, slots=True)
class Classification:
    """One class an image: cross-entropy, and the share of images classified right. Shapes: outputs (b, classes),
    targets (b,)."""

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

    def predict(self, outputs: Tensor) -> Tensor:
        """The class, (b,)."""
        return outputs.argmax(1)

    def margin(self, outputs: Tensor) -> Tensor:
        """Between the two best classes, (b,)."""
        best = outputs.topk(min(2, outputs.shape[1]), dim=1).values
        return best[:, 0] - best[:, -1]

    def imitation(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Kullback-Leibler divergence from the teacher's classes."""
        own, wanted = nn.functional.log_softmax(outputs, 1), nn.functional.log_softmax(teacher, 1)
        return nn.functional.kl_div(own, wanted, reduction="batchmean", log_target=True)


@dataclass(frozen=True, slots=True)
class CellMarking:
    """Yes or no for each cell of a grid: sigmoid cross-entropy, and F1 of the cells marked, those of all grids pooled
    (micro).

    A cell is marked where its probability is above 0.5. Shapes: outputs (b, h, w) logits, targets (b, h, w) bool.
    """

    measure: str = "F1"
    parts: tuple[str, ...] = ("right", "hits", "misses", "false")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, the mean over all cells."""
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs))

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(grids whose every cell is right, cells marked rightly, cells of a path left out, cells marked wrongly)."""
        return self.counts_of_each(outputs, targets).sum(0)

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The same of every grid by itself, (b, 4) int64."""
        marked, wanted = self.predict(outputs).flatten(1), targets.flatten(1)
        hits = (marked & wanted).sum(1)
        whole = (marked == wanted).all(1).long()
        return torch.stack([whole, hits, wanted.sum(1) - hits, marked.sum(1) - hits], 1)

    def score(self, counts: Sequence[int], examples: int) -> float:
        """F1 = 2 hits / (2 hits + misses + false); 0 where nothing was marked and nothing was to be."""
        _, hits, misses, false = counts
        return 2 * hits / max(2 * hits + misses + false, 1)

    def predict(self, outputs: Tensor) -> Tensor:
        """The cells marked, (b, h, w) bool."""
        return outputs > 0

    def margin(self, outputs: Tensor) -> Tensor:
        """Twice the distance from zero, (b, h, w)."""
        return 2 * outputs.abs()

    def imitation(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Kullback-Leibler divergence from the teacher's probabilities, the mean over all cells."""
        wanted = teacher.sigmoid()
        entropy = nn.functional.binary_cross_entropy_with_logits(teacher, wanted)
        return nn.functional.binary_cross_entropy_with_logits(outputs, wanted) - entropy


CLASSES = Classification()
CELLS = CellMarking()
TASKS: dict[str, Task] = {"classes": CLASSES, "cells": CELLS}  # by what a network answers for; a new one is a line here


Lengthened = tuple[tuple[int, int], ...]  # ((17, 30),): the first 17 epochs are those of a training of 30


def length_at(epoch: int, epochs: int, lengthened: Lengthened) -> int:
    """How long the training was meant to be when epoch 0, 1, ... was trained: the schedule is that of so many
    epochs."""
    return next((length for until, length in lengthened if epoch < until), epochs)


def read_lengthened(value: Any, epochs: int) -> Lengthened:
    """From the pairs in a config.json. Raises ValueError, TypeError and SettingError for what no training of `epochs`
    can have been."""
    pairs = tuple((until, length) for until, length in value)
    for until, length in pairs:
        check_number("epochs", length, field="'lengthened'")
        if type(until) is not int or not 0 <= until <= length:
            raise ValueError(f"'lengthened' has {until!r} of {length} epochs")
    for before, after in pairwise((*pairs, (epochs, epochs))):
        if before[0] > after[0] or before[1] >= after[1]:
            raise ValueError(f"'lengthened' has {list(before)} before {list(after)}")
    return pairs
