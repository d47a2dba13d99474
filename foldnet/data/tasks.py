"""What a network learns on a dataset: how far off its outputs are, and how they are scored."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Task:
    """A dataset brings its task, so that whoever trains and evaluates need not know what its targets are.

    `measure` is what the score is called, `better` is "higher" or "lower", and a `share` lies in 0..1 and is better
    higher: JSON calls it accuracy too. `parts` are what `counts` counts, in examples called `unit`; "right" stands for
    those that are answered wholly right. `within` is what an example has many of, each of which counts alike, and is a
    part then.
    """

    measure: str
    parts: tuple[str, ...]
    unit: str = "images"
    better: str = "higher"
    share: bool = True
    within: str = ""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch's examples, a scalar in nats. outputs (b, ...) float32, targets (b, ...)."""
        raise NotImplementedError

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the score is made of, of each example: (b, len(parts)) of whole or real numbers."""
        raise NotImplementedError

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The same as sums over the examples: (len(parts),)."""
        return self.counts_of_each(outputs, targets).sum(0)

    def score(self, counts: Sequence[float], examples: int) -> float:
        """The score from the sums of `counts` over so many examples."""
        raise NotImplementedError

    def predict(self, outputs: Tensor) -> Tensor:
        """What the outputs say: outputs (b, ...) -> (b,) or (b, ...)."""
        raise NotImplementedError

    def margin(self, outputs: Tensor) -> Tensor:
        """How far two outputs must move towards each other, or one towards zero twice, to change a prediction; shaped
        like those."""
        raise NotImplementedError

    def imitation(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """How far the outputs are from a teacher's, both softened alike before, a scalar in nats: 0 where they
        agree."""
        raise NotImplementedError

    @property
    def proportion(self) -> bool:
        """Whether the score is the share of examples that are right, so that a count says the same."""
        return self.parts == ("right",)

    @property
    def points(self) -> int:
        """How many points make 1 of the score: those of a share are per cent."""
        return 100 if self.share else 1

    def merit(self, score: float) -> float:
        """The score with its sign turned where lower is better: more is always better."""
        return -score if self.better == "lower" else score

    def right(self, counts: Sequence[float]) -> int | None:
        """How many examples were answered wholly right; None where that is not counted."""
        return int(counts[self.parts.index("right")]) if "right" in self.parts else None

    def scored(self, counts: Sequence[float]) -> int | None:
        """How many of what stands `within` examples were scored; None where that is nothing."""
        return int(counts[self.parts.index(self.within)]) if self.within else None

    def share_within(self, counts: Sequence[float]) -> float | None:
        """The share of what stands `within` examples that is right, 0..1; None where that is not counted."""
        return None

    def written(self, score: float | None, digits: int = 2) -> str:
        """A score: a proportion in per cent, another measure by its name; "-" where it was not measured."""
        if score is None:
            return "-"
        return f"{100 * score:.{digits}f} %" if self.proportion else f"{self.measure} {score:.4f}"

    def counted(self, score: float, examples: int, right: int | None = None, scored: int | None = None) -> str:
        """A score with the count behind it: of a proportion what is right, of another what is `right` as a whole, or
        was `scored` within the examples."""
        if self.proportion:
            return f"{self.written(score)} ({round(score * examples)} of {examples})"
        if self.within:
            among = f"{examples} {self.unit}"
            return f"{self.written(score)} ({among if scored is None else f'{scored:,} {self.within} in {among}'})"
        whole = f"{right} of {examples} wholly right" if right is not None else f"of {examples}"
        return f"{self.written(score)} ({whole})"


@dataclass(frozen=True, slots=True)
class Classification(Task):
    """One class an image: cross-entropy, and the share of images classified right. Shapes: outputs (b, classes),
    targets (b,)."""

    measure: str = "accuracy"
    parts: tuple[str, ...] = ("right",)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy."""
        return nn.functional.cross_entropy(outputs, targets)

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(right,), (b, 1) int64."""
        return (outputs.argmax(1) == targets).long()[:, None]

    def score(self, counts: Sequence[float], examples: int) -> float:
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
class CellMarking(Task):
    """Yes or no for each cell of a grid: sigmoid cross-entropy, and F1 of the cells marked, those of all grids pooled
    (micro).

    A cell is marked where its probability is above 0.5. Shapes: outputs (b, h, w) logits, targets (b, h, w) bool.
    """

    measure: str = "F1"
    parts: tuple[str, ...] = ("right", "hits", "misses", "false")
    unit: str = "grids"

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, the mean over all cells."""
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs))

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(grids whose every cell is right, cells marked rightly, cells of a path left out, cells marked wrongly)."""
        marked, wanted = self.predict(outputs).flatten(1), targets.flatten(1)
        hits = (marked & wanted).sum(1)
        whole = (marked == wanted).all(1).long()
        return torch.stack([whole, hits, wanted.sum(1) - hits, marked.sum(1) - hits], 1)

    def score(self, counts: Sequence[float], examples: int) -> float:
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


@dataclass(frozen=True, slots=True)
class WhollyRight(Task):
    """Answers of many parts, of which `counts` are (examples that are wholly right, parts that are, parts)."""

    def score(self, counts: Sequence[float], examples: int) -> float:
        """Share of examples that are wholly right."""
        return counts[0] / max(examples, 1)

    @property
    def proportion(self) -> bool:
        """It is the share of examples that are right."""
        return True

    def share_within(self, counts: Sequence[float]) -> float | None:
        """The share of parts that are right, 0..1."""
        return counts[1] / max(counts[2], 1)


@dataclass(frozen=True, slots=True)
class BitMarking(WhollyRight, CellMarking):
    """Yes or no for each place of a string: sigmoid cross-entropy, and the share of strings whose every place is right.

    Shapes: outputs (b, length) logits, targets (b, length) bool.
    """

    measure: str = "exact match"
    parts: tuple[str, ...] = ("right", "places", "bits")
    unit: str = "strings"
    within: str = "bits"

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(strings whose every place is right, places that are right, places), (b, 3) int64."""
        alike = self.predict(outputs) == targets
        return torch.stack([alike.all(1).long(), alike.sum(1), torch.full_like(alike[:, 0].long(), alike.shape[1])], 1)


UNSCORED = -100  # the target of a place that does not count, as torch's cross-entropy has it


@dataclass(frozen=True, slots=True)
class ByteTask(Task):
    """Bytes that are told one by one, each from those before it: cross-entropy.

    Shapes: outputs (b, length, 256), targets (b, length) int64, UNSCORED where nothing is asked.
    """

    within: str = "bytes"

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, the mean over all bytes that are scored."""
        return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=UNSCORED)

    def predict(self, outputs: Tensor) -> Tensor:
        """The likeliest byte of each place, (b, length)."""
        return outputs.argmax(2)

    def margin(self, outputs: Tensor) -> Tensor:
        """Between the two likeliest bytes, (b, length)."""
        best = outputs.topk(2, dim=2).values
        return best[..., 0] - best[..., 1]

    def imitation(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Kullback-Leibler divergence from the teacher's bytes, the mean over all places."""
        return CLASSES.imitation(outputs.flatten(0, 1), teacher.flatten(0, 1))


@dataclass(frozen=True, slots=True)
class NextByte(ByteTask):
    """The byte that follows each: the bits that it takes to say what follows, a byte."""

    measure: str = "bits per byte"
    parts: tuple[str, ...] = ("bits", "bytes")
    unit: str = "windows"
    better: str = "lower"
    share: bool = False

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(bits of all bytes, bytes that are scored), (b, 2) float64."""
        flat, asked = outputs.flatten(0, 1), targets.flatten()
        nats = nn.functional.cross_entropy(flat, asked, ignore_index=UNSCORED, reduction="none").view_as(targets)
        return torch.stack([nats.double().sum(1) / math.log(2), (targets != UNSCORED).double().sum(1)], 1)

    def score(self, counts: Sequence[float], examples: int) -> float:
        """Bits by bytes."""
        return counts[0] / max(counts[1], 1)

    def written(self, score: float | None, digits: int = 2) -> str:
        """Where there is little room, with one digit of other measures, shorter: "2.346 bits"."""
        return f"{score:.3f} bits" if digits < 2 and score is not None else Task.written(self, score, digits)


@dataclass(frozen=True, slots=True)
class ByteAnswers(WhollyRight, ByteTask):
    """The bytes of a sum: the share of sums whose every byte is right.

    All bytes are told at once, each from the right ones before it. A sum is wholly right exactly where it would be if
    each byte were told from those told before (greedy decoding): up to the first wrong one these are the same.
    """

    measure: str = "exact match"
    parts: tuple[str, ...] = ("right", "hits", "bytes")
    unit: str = "sums"
    within: str = "bytes"

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(sums whose every byte is right, bytes that are right, bytes that are scored), (b, 3) int64."""
        asked = targets != UNSCORED
        hits, count = ((self.predict(outputs) == targets) & asked).sum(1), asked.sum(1)
        return torch.stack([(hits == count).long(), hits, count], 1)


CLASSES = Classification()
CELLS = CellMarking()
BITS = BitMarking()
BYTES = NextByte()
SUMS = ByteAnswers()
# By what a network answers for; a new one is a line here.
TASKS: dict[str, Task] = {"classes": CLASSES, "cells": CELLS, "bits": BITS, "bytes": BYTES, "sums": SUMS}
