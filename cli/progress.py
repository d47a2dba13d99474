"""What a user sees while foldnet works: a bar with the time left on a terminal, plain lines elsewhere, all on stderr."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from foldnet.training.observer import CONTROL, EPOCH, TUNING
from foldnet_cli.page import WIDTH, Page
from foldnet_cli.words import spoken

WAITS = 0.05  # share of an epoch's time without data from which it is worth a word
LONG = ("sweep", "shares", "depth")  # tasks that leave a line behind also where there is no bar
COURSES = (EPOCH, TUNING, CONTROL)


class Watcher:
    """An observer for people. On a terminal a bar runs over all parts of a task; an epoch leaves one line behind."""

    def __init__(self, console: Console, progress: Progress | None, *, saves: bool = False) -> None:
        """With `saves` the first Ctrl-C in a training only asks for its end, which comes once all is saved."""
        self.console, self.progress, self.saves = console, progress, saves
        self.task: TaskID | None = None
        self.name = ""
        self.nested = False
        self.stopping = False
        self.interrupted = False
        self.start = time.perf_counter()

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Move the bar to this part of the task; an evaluation inside a training gets no bar of its own."""
        self.nested = parts == 1 and self.name in COURSES
        kind = task.split(" ")[0]
        if self.progress is None and kind in LONG:
            self.console.print(f"{task}: {total} steps", highlight=False)
        if self.nested:
            return
        if kind != self.name:
            self.end_bar()
            self.name = kind
        if self.progress is None:
            return
        if self.task is None:
            self.task = self.progress.add_task(task)
        self.progress.update(self.task, description=task, total=total * parts, completed=total * part)

    def advance(self, steps: int = 1) -> None:
        """Move the bar; a Ctrl-C that got lost in a destructor or in foreign code is raised here again."""
        if self.interrupted:
            raise KeyboardInterrupt
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
        self.console.print(epoch_line(metrics, time.perf_counter() - self.start), highlight=False)

    def note(self, sentence: str) -> None:
        """A sentence of its own."""
        self.console.print(spoken(sentence), highlight=False)

    def wants_stop(self) -> bool:
        """Whether there was a Ctrl-C, or a SIGTERM, which a training answers by saving first."""
        return self.stopping

    def signalled(self) -> None:
        """A Ctrl-C came. Raises KeyboardInterrupt, unless there is something to save first."""
        if self.saves and self.name == "epoch" and not self.stopping:
            self.stopping = True
            self.note("saving after this step, then stopping; Ctrl-C again stops at once")
            return
        self.interrupted = True
        raise KeyboardInterrupt


def epoch_line(metrics: Mapping[str, Any], seconds: float) -> str:
    """An epoch in at most 80 columns: what matters most, and as much of the rest as fits. metrics.jsonl holds all of it."""
    validation, alike, measure = metrics["validation_accuracy"], metrics["similarity"], metrics["measure"]
    parts = [
        f"{metrics['course']} {metrics['epoch']:3d}",
        f"loss {metrics['train_loss']:.4f}",
        f"train {_score(metrics['train_accuracy'], measure)}",
        *([f"validation {_score(validation, measure)}"] if validation is not None else []),
        f"{seconds:.0f} s",
        *([f"waited {100 * metrics['waited']:.0f} %"] if metrics["waited"] >= WAITS else []),
        *([f"alike {' '.join(f'{value:.2f}' for value in alike.values())}"] if alike else []),
        f"{metrics['images_per_second']:,.0f} img/s",
    ]
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) <= WIDTH:
            line += f"  {part}"
    return line


def _score(value: float, measure: str) -> str:
    """An accuracy in per cent, another measure by its name."""
    return f"{100 * value:5.1f} %" if measure == "accuracy" else f"{measure} {value:.4f}"


@contextmanager
def watching(*, saves: bool = False, quiet: bool = False) -> Iterator[Watcher]:
    """An observer that is shown on stderr while the block runs, or with `quiet` only minds signals; for `saves` see Watcher."""
    console = Page(stderr=True, markup=False, emoji=False, quiet=quiet)
    if quiet or not console.is_terminal:
        watcher = Watcher(console, None, saves=saves)
        with _minding_signals(watcher):
            yield watcher
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        watcher = Watcher(console, progress, saves=saves)
        with _minding_signals(watcher):
            yield watcher


@contextmanager
def _minding_signals(watcher: Watcher) -> Iterator[None]:
    """Python raises KeyboardInterrupt wherever it happens to be, and swallows it in some of those places; so note it too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What ends a job on a cluster, or a process of several, is SIGTERM.
    minded = (signal.SIGINT, signal.SIGTERM) if watcher.saves else (signal.SIGINT,)
    before = {number: signal.getsignal(number) for number in minded}
    for number in minded:
        signal.signal(number, lambda *_: watcher.signalled())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
