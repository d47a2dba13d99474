"""Where commands print: progress, the sentence with which they fail, and what a Ctrl-C does meanwhile. Nothing here
waits for torch, which may be half imported then."""

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from foldnet.show import progress as library
from foldnet.show.report import WIDTH, spelt_out, wrapped
from foldnet_cli.words import spoken


class Page(Console):
    """A console whose lines fit: into the terminal, elsewhere into 80 columns.

    Its reader may go away, as head does; the guard then ends the program as a success. What names and the contents of
    files could do to a terminal is taken out of all that is printed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not self.is_terminal:
            self.width = WIDTH

    def print(self, *objects: Any, **options: Any) -> None:
        """Tables fold their cells, text goes on in the next line; a word is never broken, so that paths can be
        copied."""
        for entry in objects or ("",):
            if isinstance(entry, Table):
                for column in entry.columns:
                    column.overflow = "fold"
                super().print(entry, **options)
                continue
            shown = wrapped(spelt_out(entry), width=self.width) if isinstance(entry, str) else entry
            super().print(shown, **{"soft_wrap": True} | options)

    def on_broken_pipe(self) -> None:
        """Pass on what rich would turn into exit code 1."""
        raise BrokenPipeError

    def render_str(self, text: str, **how: Any) -> Text:
        """A text, cleaned before it is measured: a column is as wide as what stands in it."""
        return super().render_str(spelt_out(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of a line; those that move the cursor of a progress bar are rich's own, and stay."""
        for segment in super().render(renderable, options):
            harmless = segment.control is not None or spelt_out(segment.text) == segment.text
            yield segment if harmless else Segment(spelt_out(segment.text), segment.style)


def shortened(name: str, most: int) -> str:
    """A name of at most so many letters: a longer one loses those in its middle."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[head + 1 - most :]}"


def tell(text: str, style: str = "") -> None:
    """A line on stderr, beside what stdout holds."""
    Page(stderr=True, highlight=False, markup=False, emoji=False).print(text, style=style)


def complain(text: str, *, fault: bool = True) -> None:
    """One sentence on stderr, in one line; a terminal's lines end between words. Where stderr cannot be written, the
    exit code must do.

    Without `fault` it is no error that is told.
    """
    console, start = Page(stderr=True, highlight=False), "Error: " if fault else ""
    said = printable(start + spoken(text))
    with suppress(OSError):
        # Not `is_terminal`, which FORCE_COLOR makes true of a pipe, whose reader counts lines.
        if console.file.isatty():
            said = Text(wrapped(said.plain, width=console.width))
        said.stylize("bold red", 0, len(start))
        console.print(said)


def warn(text: str) -> None:
    """One sentence on stderr about something that is no error."""
    tell(f"warning: {printable(spoken(text))}", "yellow")


def printable(text: str) -> Text:
    """A line of text as it stands, no markup, and what would move the cursor or colour the terminal written out."""
    return Text(spelt_out(text).replace("\n", "\\n"))


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
