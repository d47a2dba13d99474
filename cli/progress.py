"""What a user sees while foldnet works: a bar with the time left on a terminal, plain lines elsewhere, all on stderr."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from foldnet_cli.page import Page
from foldnet_cli.words import spoken

LONG = ("sweep", "shares", "depth")  # tasks that leave a line behind also where there is no bar


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
        self.nested = parts == 1 and self.name == "epoch"
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
        if self.name != "epoch":
            self.end_bar()
        self.nested = False

    def end_bar(self) -> None:
        """Take the bar away."""
        if self.progress is not None and self.task is not None:
            self.progress.remove_task(self.task)
        self.task, self.name = None, ""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """One line an epoch."""
        validation, alike = metrics["validation_accuracy"], metrics["similarity"]
        parts = [
            f"epoch {metrics['epoch']:3d}",
            f"loss {metrics['train_loss']:.4f}",
            f"train {100 * metrics['train_accuracy']:5.1f} %",
            *([f"validation {100 * validation:5.1f} %"] if validation is not None else []),
            *([f"recurrence {metrics['recurrence']:.2f}"] if metrics["recurrence"] is not None else []),
            *([f"alike {' '.join(f'{value:.2f}' for value in alike.values())}"] if alike else []),
            f"{metrics['images_per_second']:,.0f} img/s",
            f"waited {100 * metrics['waited']:.1f} %",
            f"{time.perf_counter() - self.start:.0f} s",
        ]
        self.console.print("  ".join(parts), highlight=False)

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


@contextmanager
def watching(*, saves: bool = False, quiet: bool = False) -> Iterator[Watcher]:
    """An observer that is shown on stderr while the block runs, or with `quiet` only minds signals; for `saves` see Watcher."""
    console = Page(stderr=True, soft_wrap=True, markup=False, emoji=False, quiet=quiet)
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
