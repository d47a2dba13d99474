"""Scoring a network as its data's task says, and on grids by the length of the path."""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset
from foldnet.data.tasks import CELLS, Task
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer, Silent, UnderWay

BINS = 12  # rows of lengths that a reader still takes in


@dataclass(frozen=True, slots=True)
class Score:
    """How good a network was on so many images: what the task's score is made of, the mean loss in nats, the time."""

    task: Task
    counts: tuple[float, ...]
    images: int
    loss: float
    seconds: float

    @property
    def value(self) -> float:
        """The task's score."""
        return self.task.score(self.counts, self.images)

    @property
    def accuracy(self) -> float | None:
        """The same where it is a share, 0..1."""
        return self.value if self.task.share else None

    @property
    def right(self) -> int | None:
        """Images that were answered wholly right; None where the task does not count them."""
        return self.task.right(self.counts)

    @property
    def scored(self) -> int | None:
        """What was scored within the images, such as bytes of text; None where each image counts as one."""
        return self.task.scored(self.counts)

    @property
    def share_within(self) -> float | None:
        """The share of what stands within the images that is right, 0..1; None where that is not counted."""
        return self.task.share_within(self.counts)

    @property
    def images_per_second(self) -> float:
        """Throughput of this evaluation."""
        return self.images / max(self.seconds, 1e-9)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Loader,
    machine: Machine,
    observer: Observer | None = None,
    see: Callable[[Tensor, Tensor], None] = lambda outputs, targets: None,
) -> Score:
    """Answer every image, in order and without augmentation; the model is left in evaluation mode.

    `see` is shown the outputs (b, ...) and targets (b, ...) of every batch.
    """
    observer = observer or Silent()
    model.eval()
    tally = Tally(batches.task, machine)
    start = time.perf_counter()
    observer.begin("evaluate", len(batches))
    for x, y in batches.in_order():
        if len(y):
            with machine.autocast():
                outputs = model(x)
            outputs = outputs.float()
            tally.add(batches.task.loss(outputs, y), outputs, y)
            see(outputs, y)
        observer.advance()
    loss, counts = tally.read()
    observer.end()
    return Score(batches.task, counts, batches.images, loss / max(batches.images, 1), time.perf_counter() - start)


class Tally:
    """Sums over batches that stay on the device until they are read: no step waits for them."""

    def __init__(self, task: Task, machine: Machine, before: UnderWay | None = None) -> None:
        """Goes on from the sums `before`, which one process alone brings in."""
        self.task, self.world = task, machine.world
        brought = before if before is not None and before.step and self.world.writes else UnderWay()
        counts = brought.counts or (0,) * len(task.parts)
        self.loss = torch.tensor(brought.loss, dtype=torch.float64, device=machine.device)
        self.counts = torch.tensor(counts, dtype=torch.float64, device=machine.device)

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """One more batch, whose mean loss is `loss`; one without examples adds nothing."""
        if len(targets):
            self.loss += loss.detach() * len(targets)
            self.counts += self.task.counts(outputs.detach(), targets)

    def read(self) -> tuple[float, tuple[float, ...]]:
        """(sum of the losses over the examples, counts), those of all processes. Waits for the device."""
        loss, counts = self.loss.clone(), self.counts.clone()
        self.world.add_up(loss, counts)
        return float(loss), tuple(counts.tolist())


@dataclass(frozen=True, slots=True)
class LengthScore:
    """Scores of grids whose shortest path has from `shortest` to `longest` steps; `whole` is the share that is wholly
    right."""

    computed: ClassVar = ("f1", "whole")
    shortest: int
    longest: int
    grids: int
    right: int
    hits: int
    misses: int
    false: int

    @property
    def span(self) -> str:
        """The lengths in words."""
        return f"{self.shortest}" if self.shortest == self.longest else f"{self.shortest} to {self.longest}"

    @property
    def f1(self) -> float:
        """F1 of the cells, 0..1."""
        return CELLS.score((self.right, self.hits, self.misses, self.false), self.grids)

    @property
    def whole(self) -> float:
        """Share of grids whose every cell is right, 0..1."""
        return self.right / self.grids


def score_by_length(
    model: nn.Module, loader: Loader, machine: Machine, dataset: Dataset, observer: Observer | None = None
) -> tuple[Score, tuple[LengthScore, ...]]:
    """The score on the test images of `dataset`, which the loader has, and of grids the same by every length of path
    that occurs."""
    if dataset.lengths is None:
        return evaluate(model, loader, machine, observer), ()
    counted: list[Tensor] = []
    count = loader.task.counts_of_each
    score = evaluate(model, loader, machine, observer, lambda outputs, y: counted.append(count(outputs, y)))
    counts, lengths = torch.cat(counted).cpu().numpy(), dataset.lengths(dataset.test)
    return score, tuple(
        LengthScore(length, length, int((lengths == length).sum()), *counts[lengths == length].sum(0).tolist())
        for length in np.unique(lengths).tolist()
    )


def binned(scores: Sequence[LengthScore], bins: int = BINS) -> tuple[LengthScore, ...]:
    """At most `bins` spans of lengths, each as wide as the others."""
    width = -(-scores[-1].longest // bins) if scores else 1
    spans = [list(span) for _, span in groupby(scores, lambda score: (score.shortest - 1) // width)]
    sums = [map(sum, zip(*(astuple(score)[2:] for score in span), strict=True)) for span in spans]
    return tuple(LengthScore(span[0].shortest, span[-1].longest, *sum_) for span, sum_ in zip(spans, sums, strict=True))
