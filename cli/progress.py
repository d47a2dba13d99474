"""What a user of the command line sees while foldnet works, and what a Ctrl-C does meanwhile."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import Progress

from foldnet.show import progress as library
from foldnet_cli.page import Page
from foldnet_cli.words import spoken


class Watcher(library.Watcher):
    """The library's, which speaks as the command line does and minds signals."""

    def __init__(self, console: Console, progress: Progress | None, *, saves: bool = False) -> None:
        """With `saves` the first Ctrl-C in a training only asks for its end, which comes once all is saved."""
        super().__init__(console, progress)
        self.saves = saves
        self.stopping = self.interrupted = False

    def advance(self, steps: int = 1) -> None:
        """Move the bar; a Ctrl-C that got lost in a destructor or in foreign code is raised here again."""
        if self.interrupted:
            raise KeyboardInterrupt
        super().advance(steps)

    def note(self, sentence: str) -> None:
        """A sentence of its own."""
        self.line(spoken(sentence))

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
    """An observer that is shown on stderr while the block runs, or with `quiet` only minds signals; for `saves` see
    Watcher."""
    console = Page(stderr=True, markup=False, emoji=False, quiet=quiet)
    shown = nullcontext() if quiet or not console.is_terminal else library.bars(console)
    with shown as progress:
        watcher = Watcher(console, progress, saves=saves)
        with _minding_signals(watcher):
            yield watcher


@contextmanager
def _minding_signals(watcher: Watcher) -> Iterator[None]:
    """Python raises KeyboardInterrupt wherever it happens to be, and swallows it in some of those places; so note it
    too."""
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
