"""What training tells whoever watches. The library prints nothing; a watcher may."""

from collections.abc import Mapping
from typing import Any, Protocol

EPOCH, TUNING, CONTROL = "epoch", "fine-tuning", "control"  # what epochs are called, by what they are of


class Stopped(KeyboardInterrupt):
    """A watcher asked for the end, and it came between two steps: what was done is saved."""


class Observer(Protocol):
    """Watches a task of known length: an epoch of training, an evaluation, a recalibration."""

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """`task` starts and takes `total` steps; it is the part number `part` of `parts` alike."""

    def advance(self, steps: int = 1) -> None:
        """So many steps of the task are done."""

    def end(self) -> None:
        """The task is done."""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """An epoch is over; the metrics are those of a line of metrics.jsonl, with its `course`, the `measure` and
        `unit` of its scores, and as `scores` how these are written."""

    def note(self, sentence: str) -> None:
        """Something that a user should know."""

    def wants_stop(self) -> bool:
        """Whether training should save and end after this step."""


class Silent:
    """The observer that watches nothing."""

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def note(self, sentence: str) -> None:
        """Nothing."""

    def wants_stop(self) -> bool:
        """Never."""
        return False


class Passing:
    """Passes on what it is told."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Passed on."""
        self.observer.begin(task, total, part, parts)

    def advance(self, steps: int = 1) -> None:
        """Passed on."""
        self.observer.advance(steps)

    def end(self) -> None:
        """Passed on."""
        self.observer.end()

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Passed on."""
        self.observer.epoch(metrics)

    def note(self, sentence: str) -> None:
        """Passed on."""
        self.observer.note(sentence)

    def wants_stop(self) -> bool:
        """Passed on."""
        return self.observer.wants_stop()
