"""Running a study: its trials, as many at one time as an engine takes, until each has a result or a reason."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from foldnet.store.lock import take_lock
from foldnet.studies.local import Outcome
from foldnet.studies.results import write_results
from foldnet.studies.trial import Site, Trial
from foldnet.training.observer import Stopped

LOOK = 0.5  # seconds between two looks at what runs


class Engine(Protocol):
    """Where trials run."""

    @property
    def free(self) -> int:
        """How many more trials may be started."""

    def start(self, trial: Trial, site: Site) -> None:
        """Begin a trial, or go on with it."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The trials that have ended, at once or within some seconds."""

    def stop(self) -> list[Outcome]:
        """Ask every trial to save and stop, and wait until it has."""


class Watcher(Protocol):
    """Who is told how a study goes. What it does not define does nothing."""

    def changed(self, course: Course) -> None:
        """Something began or ended, or half a second is over."""
        return

    def said(self, sentence: str) -> None:
        """A trial ended."""
        return

    def wants_stop(self) -> bool:
        """Whether all trials should save and end."""
        return False


class Unwatched(Watcher):
    """The watcher that watches nothing."""


@dataclass
class Course:
    """How far a study has come. A trial is waiting, running, finished or failed; `results` are by the trials' names."""

    trials: tuple[Trial, ...]
    site: Site
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)  # since when
    failed: dict[str, str] = field(default_factory=dict)  # why
    attempts: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    def state(self, trial: Trial) -> str:
        """waiting, running, finished or failed."""
        for state, names in (("finished", self.results), ("running", self.running), ("failed", self.failed)):
            if trial.name in names:
                return state
        return "waiting"

    def under_way(self) -> Iterator[tuple[str, int, int, float]]:
        """(title, epochs done, epochs in all, seconds since its start here) of every trial that runs."""
        for trial in self.trials:
            if trial.name in self.running:
                epoch = _lines_in(self.site.run_of(trial) / "metrics.jsonl")
                yield trial.title, epoch, trial.settings.epochs, time.monotonic() - self.running[trial.name]


def _lines_in(file: Path) -> int:
    """How many lines a file has; none where it is not there (yet)."""
    with suppress(OSError):
        return file.read_bytes().count(b"\n")
    return 0


def run_trials(course: Course, engine: Engine, watcher: Watcher, *, retries: int = 0, fail_fast: bool = False) -> None:
    """Run what has no result yet, and keep every result as soon as it is there.

    A trial that fails is tried `retries` times more; with `fail_fast` the first that fails for good ends the others,
    which save. Raises Stopped when all have saved, where the watcher wants the end or there was a Ctrl-C.
    """
    waiting = deque(trial for trial in course.trials if trial.name not in course.results)
    with closing(take_lock(course.site.folder)):
        try:
            while (waiting and not course.stopped) or course.running:
                watcher.changed(course)
                if watcher.wants_stop():
                    raise KeyboardInterrupt
                if waiting and engine.free > 0 and not course.stopped:
                    _start(course, engine, waiting.popleft())
                    continue
                ended = engine.wait(LOOK)
                waiting += [one.trial for one in ended if _end(course, one, watcher, retries)]
                if any(one.stopped for one in ended):  # a signal to all processes may have come to the trial's first
                    raise KeyboardInterrupt
                if fail_fast and course.failed and not course.stopped:
                    course.stopped = True
                    _all_ended(course, engine.stop(), watcher)
        except BaseException as error:
            _all_ended(course, engine.stop(), watcher)
            if not isinstance(error, KeyboardInterrupt):
                raise
            done = f"stopped with {len(course.results)} of {len(course.trials)} trials finished"
            raise Stopped(f"{done}; what ran is saved, and the same study, run again, goes on") from None
    watcher.changed(course)


def _start(course: Course, engine: Engine, trial: Trial) -> None:
    """Begin a trial."""
    course.running[trial.name] = time.monotonic()
    course.attempts[trial.name] = course.attempts.get(trial.name, 0) + 1
    engine.start(trial, course.site)


def _end(course: Course, outcome: Outcome, watcher: Watcher, retries: int) -> bool:
    """Keep what came of a trial; whether it is to be tried once more."""
    trial = outcome.trial
    course.running.pop(trial.name, None)
    if outcome.result is not None:
        course.results[trial.name] = outcome.result
        write_results(course.site.folder, course.trials, course.results)
        watcher.said(f"{len(course.results)} of {len(course.trials)}: {trial.title}, {_score(outcome.result)}")
        return False
    if outcome.stopped:
        return False
    again = course.attempts[trial.name] <= retries
    watcher.said(f"{trial.title}: {outcome.why}" + ("; it is tried again" if again else ""))
    if not again:
        course.failed[trial.name] = outcome.why
    return again


def _all_ended(course: Course, outcomes: Iterable[Outcome], watcher: Watcher) -> None:
    """Keep what came of trials that were asked to stop."""
    for outcome in outcomes:
        _end(course, outcome, watcher, 0)


def _score(result: Mapping[str, Any]) -> str:
    """The test score of a training in words."""
    train = result["train"]
    return f"test {train['measure']} {train['score']:.4f}"
