"""What a training tells whoever watches it, and whoever keeps what it leaves behind. The library prints nothing; a
watcher may."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from foldnet.store.codec import Count

EPOCH, TUNING, CONTROL = "epoch", "fine-tuning", "control"  # what epochs are called, by what they are of


class Stopped(KeyboardInterrupt):
    """A watcher asked for the end, and it came between two steps: what was done is saved."""


class Observer(Protocol):
    """Watches a task of known length: an epoch of training, an evaluation, a recalibration. What it does not define
    does nothing."""

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """`task` starts and takes `total` steps; it is the part number `part` of `parts` alike."""
        return

    def advance(self, steps: int = 1) -> None:
        """So many steps of the task are done."""
        return

    def end(self) -> None:
        """The task is done."""
        return

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """An epoch is over; the metrics are those of a line of metrics.jsonl, with its `course`, the `measure` and
        `unit` of its scores, and as `scores` how these are written."""
        return

    def note(self, sentence: str) -> None:
        """Something that a user should know."""
        return

    def wants_stop(self) -> bool:
        """Whether training should save and end after this step."""
        return False


class Silent(Observer):
    """The observer that watches nothing."""


SILENT = Silent()


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The epoch under way: steps done, and over their examples the sum of losses and the task's counts.

    `seconds` of these steps, of which `waited` seconds had no data yet.
    """

    step: Count = 0
    loss: float = 0.0
    counts: tuple[float, ...] = ()
    seconds: float = 0.0
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Whole epochs done, the best validation score so far and its epoch, seconds of training, and the epoch under
    way."""

    epoch: Count
    best_score: float | None
    best_epoch: Count | None
    seconds: float
    under_way: UnderWay = UnderWay()


BEGINNING = Progress(0, None, None, 0.0)


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One line of metrics.jsonl. Losses in nats; accuracies are the task's score where that is a `share`, 0..1.

    Seconds and speed are those of the training steps, `waited` the share of the seconds in which a step had no data
    yet; `similarity` is the largest |cos| of two layers' coefficients in each group.
    """

    computed: ClassVar = ("train_accuracy", "validation_accuracy")
    unwritten: ClassVar = ("share",)
    epoch: int
    lr: float
    train_loss: float
    train_score: float
    recurrence: float | None
    similarity: dict[str, float] | None
    validation_loss: float | None
    validation_score: float | None
    seconds: float
    images_per_second: float
    waited: float
    share: bool = True

    @property
    def train_accuracy(self) -> float | None:
        """The score of the training steps, if it is a share."""
        return self.train_score if self.share else None

    @property
    def validation_accuracy(self) -> float | None:
        """The score on validation data, if it is a share."""
        return self.validation_score if self.share else None


class Journal:
    """Keeps what a training leaves behind; this one keeps nothing."""

    def after_epoch(self, metrics: EpochMetrics) -> None:
        """An epoch is whole."""

    def due(self) -> bool:
        """Whether so much has happened since the last checkpoint that one should be made within the epoch."""
        return False

    def within_epoch(self, under_way: UnderWay) -> None:
        """Keep the state between two steps."""
