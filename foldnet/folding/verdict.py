"""What the dial says of a loop: an iteration, which holds or gains when it runs longer or in finer steps, or a habit of
a number of trips that training fell into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import ClassVar

from foldnet.data.tasks import Task
from foldnet.show.report import Table

HOLDS = 0.01  # how much of the score an iteration may lose: 1 point of a share, 1 % of another score
FURTHER = (1.5, 2, 3, 4)  # times the trips found
Turned = tuple[tuple[int, float], ...]  # (trips, score)


@dataclass(frozen=True, slots=True)
class LoopVerdict:
    """A loop that was found to run `found` times with a score, all with norms estimated anew where there are any: the
    scores when it runs `once`, further trips as they are (`longer`), and further trips whose changes of the state are
    damped by found / trips (`finer`; empty where blocks add to no state). `margin` is how much of the score may be
    lost.
    """

    computed: ClassVar = ("longer_change", "finer_change", "once_loss", "verdict")
    name: str
    found: int
    score: float
    once: float
    longer: Turned
    finer: Turned
    margin: float
    sign: int = 1

    @property
    def longer_change(self) -> float:
        """The largest change of the score when the loop runs longer."""
        return abs(self.extreme(self.longer))

    @property
    def finer_change(self) -> float | None:
        """The largest change of the score over finer steps; None where that has no meaning."""
        return abs(self.extreme(self.finer)) if self.finer else None

    @property
    def once_loss(self) -> float:
        """How much worse the score is when the loop runs once."""
        return self._worse(self.score, self.once)

    @property
    def verdict(self) -> str:
        """In a word, and why."""
        best, gains = self.score, [turned for turned in (self.longer, self.finer) if self._gains(turned)]
        if gains:
            word = "iteration: computes more in more trips"
            best = max((score for turned in gains for _, score in turned), key=lambda score: self.sign * score)
        elif self._is_nothing():
            return "nothing to judge: the score is 0"
        elif self.finer and self._holds(self.finer):
            word = "iteration: stable in finer steps"
        elif self._holds(self.longer):
            word = "iteration: comes to rest"
        else:
            word = "habit"
        return f"{word}; once does as well" if self._worse(best, self.once) <= self.margin else word

    def _worse(self, score: float, other: float) -> float:
        """By how much `other` is worse. Rounded, since of 0.95 and 0.94 the difference is more than 0.01."""
        return round(self.sign * (score - other), 9)

    def _changes(self, turned: Turned) -> list[float]:
        """By how much the score is better with each number of trips."""
        return [-self._worse(self.score, score) + 0.0 for _, score in turned]

    def _gains(self, turned: Turned) -> bool:
        """Whether more trips gain more than an iteration may lose, and none of them loses that."""
        changes = self._changes(turned)
        return any(change > self.margin for change in changes) and all(change >= -self.margin for change in changes)

    def _holds(self, turned: Turned) -> bool:
        """Whether no change is larger than an iteration may lose; one to no number is."""
        return all(abs(change) <= self.margin for change in self._changes(turned))

    def _is_nothing(self) -> bool:
        """Whether no number of trips scores above 0, and more is better."""
        return self.sign > 0 and not any(score for _, score in ((1, self.once), (self.found, self.score), *self.longer))

    def extreme(self, turned: Turned) -> float:
        """The largest change, above 0 where the score is better."""
        return max(self._changes(turned), key=lambda change: inf if isnan(change) else abs(change), default=0.0)


def margin_of(task: Task, score: float) -> float:
    """How much of a score an iteration may lose."""
    return HOLDS if task.share else HOLDS * abs(score)


def further_trips(found: int) -> list[int]:
    """The trips past those found at which a loop is judged, each once."""
    return sorted({max(found + 1, round(times * found)) for times in FURTHER})


def verdict_table(verdicts: Sequence[LoopVerdict], task: Task) -> Iterator[Table]:
    """A row a loop: what running it once, longer and in finer steps changes of the test score."""
    if not verdicts:
        return
    rows = tuple(
        (
            one.name,
            one.found,
            _points(-one.once_loss, task),
            _points(one.extreme(one.longer), task),
            "" if one.finer_change is None else _points(one.extreme(one.finer), task),
            one.verdict,
        )
        for one in verdicts
    )
    unit = "points" if task.share else task.measure
    title = f"dial: largest change at {FURTHER[0]} to {FURTHER[-1]} times the trips, {unit}"
    yield Table(title, ("loop", "found", "once", "longer", "finer", "verdict"), rows)


def _points(value: float, task: Task) -> str:
    """A difference of scores, above 0 where it is better."""
    return f"{100 * value + 0.0:+.2f}" if task.share else f"{value + 0.0:+.4f}"
