"""What the dial says of a loop: an iteration, which holds or gains when it runs longer or in finer steps, or a habit of
a number of trips that training fell into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
        return self.sign * (self.score - self.once)

    @property
    def verdict(self) -> str:
        """In a word, and why."""
        if not self.score and self.sign > 0:
            return "nothing to judge: the score is 0"
        if self._gains(self.longer) or self._gains(self.finer):
            word = "iteration: computes more in more trips"
        elif self.finer_change is not None and self.finer_change <= self.margin:
            word = "iteration: stable in finer steps"
        elif self.longer_change <= self.margin:
            word = "iteration: comes to rest"
        else:
            word = "habit"
        return word if self.once_loss > self.margin else f"{word}; once does as well"

    def _changes(self, turned: Turned) -> list[float]:
        """By how much the score is better with each number of trips."""
        return [self.sign * (score - self.score) for _, score in turned]

    def _gains(self, turned: Turned) -> bool:
        """Whether more trips gain more than an iteration may lose, and none of them loses that."""
        changes = self._changes(turned)
        return bool(changes) and max(changes) > self.margin and min(changes) >= -self.margin

    def extreme(self, turned: Turned) -> float:
        """The largest change, above 0 where the score is better."""
        return max(self._changes(turned), key=abs, default=0.0)


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
