"""Where a training stands."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The epoch under way: steps done, and over their examples the sum of losses and the task's counts.

    `seconds` of these steps, of which `waited` seconds had no data yet.
    """

    step: int = 0
    loss: float = 0.0
    counts: tuple[int, ...] = ()
    seconds: float = 0.0
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Whole epochs done, the best validation accuracy so far and its epoch, seconds of training, and the epoch under way."""

    epoch: int
    best_accuracy: float | None
    best_epoch: int | None
    seconds: float
    under_way: UnderWay = UnderWay()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


BEGINNING = Progress(0, None, None, 0.0)


def read_progress(data: Mapping[str, Any]) -> Progress:
    """Progress from plain data; that of earlier versions knew no epoch under way.

    Raises KeyError, TypeError, ValueError for anything else.
    """
    under_way = dict(data.get("under_way") or {})
    under_way["counts"] = tuple(int(count) for count in under_way.get("counts", ()))
    return Progress(
        int(data["epoch"]),
        data["best_accuracy"],
        data["best_epoch"],
        float(data["seconds"]),
        UnderWay(**under_way),
    )
