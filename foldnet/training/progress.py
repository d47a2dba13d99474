"""Where a training stands."""

from dataclasses import dataclass

from foldnet.store.codec import Count, Share


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The epoch under way: steps done, and over their examples the sum of losses and the task's counts.

    `seconds` of these steps, of which `waited` seconds had no data yet.
    """

    step: Count = 0
    loss: float = 0.0
    counts: tuple[Count, ...] = ()
    seconds: float = 0.0
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Whole epochs done, the best validation accuracy so far and its epoch, seconds of training, and the epoch under
    way."""

    epoch: Count
    best_accuracy: Share | None
    best_epoch: Count | None
    seconds: float
    under_way: UnderWay = UnderWay()


BEGINNING = Progress(0, None, None, 0.0)
