"""What people see while foldnet works: a bar with the time left on a terminal, plain lines elsewhere, all on stderr."""

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from foldnet.show.report import WIDTH, spelt_out, wrapped
from foldnet.training.observer import CONTROL, EPOCH, TUNING, Observer, Silent

WAITS = 0.05  # share of an epoch's time without data from which it is worth a word
LONG = ("sweep", "shares", "depth")  # tasks that leave a line behind also where there is no bar
COURSES = (EPOCH, TUNING, CONTROL)
Watched = TypeVar("Watched", bound=Callable[..., Any])


class Watcher(Silent):
    """An observer for people. On a terminal a bar runs over all parts of a task; an epoch leaves one line behind."""

    def __init__(self, console: Console, progress: Progress | None) -> None:
        self.console, self.progress = console, progress
        self.task: TaskID | None = None
        self.name = ""
        self.nested = False
        self.start = time.perf_counter()

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Move the bar to this part of the task; an evaluation inside a training gets no bar of its own."""
        self.nested = parts == 1 and self.name in COURSES
        kind = task.split(" ")[0]
        if self.progress is None and kind in LONG:
            self.line(f"{task}: {total} steps")
        if self.nested:
            return
        if kind != self.name:
            self.end_bar()
            self.name = kind
            if kind in COURSES:  # what was loaded and prepared before is no part of an epoch
                self.start = time.perf_counter()
        if self.progress is None:
            return
        if self.task is None:
            self.task = self.progress.add_task(task)
        self.progress.update(self.task, description=task, total=total * parts, completed=total * part)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self.progress is not None and self.task is not None and not self.nested:
            self.progress.advance(self.task, steps)

    def end(self) -> None:
        """Take away the bar of a task that has no further part."""
        if self.name not in COURSES:
            self.end_bar()
        self.nested = False

    def end_bar(self) -> None:
        """Take the bar away."""
        if self.progress is not None and self.task is not None:
            self.progress.remove_task(self.task)
        self.task, self.name = None, ""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """One line an epoch."""
        self.line(epoch_line(metrics, time.perf_counter() - self.start))

    def note(self, sentence: str) -> None:
        """A sentence of its own."""
        self.line(sentence)

    def line(self, text: str) -> None:
        """Print a line, or several where it is wider than the terminal, or than 80 columns elsewhere."""
        width = self.console.width if self.console.is_terminal else WIDTH
        self.console.print(wrapped(spelt_out(text), width=width), highlight=False, soft_wrap=True)


def epoch_line(metrics: Mapping[str, Any], seconds: float) -> str:
    """An epoch in at most 80 columns: what matters most, and as much of the rest as fits. metrics.jsonl holds all of
    it.

    "val" and not "validation": the similarities of three groups, which show loops as they form, would not fit beside
    it.
    """
    alike, unit = metrics["similarity"], metrics["unit"].replace("images", "img")
    parts = [
        f"{metrics['course']} {metrics['epoch']:3d}",
        f"loss {metrics['train_loss']:.4f}",
        *(f"{name} {score:>7}" for name, score in metrics["scores"].items()),
        f"{seconds:.0f} s",
        *([f"waited {100 * metrics['waited']:.0f} %"] if metrics["waited"] >= WAITS else []),
        *([f"alike {' '.join(f'{value:.2f}' for value in alike.values())}"] if alike else []),
        f"{metrics['images_per_second']:,.0f} {unit}/s",
    ]
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) <= WIDTH:
            line += f"  {part}"
    return line


def bars(console: Console) -> Progress:
    """A bar that says how much is done and how long the rest takes, and goes away."""
    done = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %")
    times = TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
    return Progress(*done, *times, console=console, transient=True)


@contextmanager
def watcher() -> Iterator[Observer]:
    """Who watches where nobody was named: a person, if stderr is a terminal or IPython is running, else nobody.

    A notebook is no terminal: it gets lines.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    ipython = sys.modules.get("IPython")  # it is not imported to find out whether it runs
    if not terminal and (ipython is None or ipython.get_ipython() is None):
        yield Silent()
        return
    plain: dict[str, Any] = {"markup": False, "emoji": False, "force_jupyter": False}
    console = Console(file=sys.stderr, force_terminal=terminal, width=None if terminal else WIDTH, **plain)
    with bars(console) if terminal else nullcontext() as progress:
        yield Watcher(console, progress)


def watched(function: Watched) -> Watched:
    """`function`, which takes an observer, with the usual watcher where it is given none. Of several processes the
    first is watched."""

    @functools.wraps(function)
    def watching(*args: Any, observer: Observer | None = None, **kwargs: Any) -> Any:
        if observer is not None or not getattr(kwargs.get("world"), "writes", True):
            return function(*args, observer=observer, **kwargs)
        with watcher() as usual:
            return function(*args, observer=usual, **kwargs)

    return cast(Watched, watching)
