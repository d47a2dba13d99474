"""What a training tells whoever keeps what it leaves behind."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from foldnet.store.codec import Count


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


class Journal(Protocol):
    """Keeps what a training leaves behind."""

    def after_epoch(self, metrics: EpochMetrics) -> None:
        """An epoch is whole."""

    def due(self) -> bool:
        """Whether so much has happened since the last checkpoint that one should be made within the epoch."""

    def within_epoch(self, under_way: UnderWay) -> None:
        """Keep the state between two steps."""


class Unwritten:
    """The journal that keeps nothing."""

    def after_epoch(self, metrics: EpochMetrics) -> None:
        """Nothing."""

    def due(self) -> bool:
        """Never."""
        return False

    def within_epoch(self, under_way: UnderWay) -> None:
        """Nothing."""
