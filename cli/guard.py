"""What every command has in common: --json, --debug, one way to be watched, to show a report, to fail and to be
interrupted."""

import errno
import functools
import inspect
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.progress import Progress

from foldnet.errors import FoldnetError, FoldnetWarning, OutputError
from foldnet.show import progress as library
from foldnet.show.report import shortened
from foldnet.store.files import VARIABLE
from foldnet.zoo.family import arch_named
from foldnet_cli.options import keyword, switch, taken_by
from foldnet_cli.page import Page, complain, show, spoken, to_json, warn


def settle() -> str | None:
    """Make the streams fit to write to before anything is done; a sentence where that cannot be.

    A descriptor that is closed is the next file's: what is printed would end in a checkpoint. So each one is held open.
    """
    closed = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 (for as long as the process lives)
    if 1 in closed:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        return "standard output is closed; send it to a file, or to /dev/null"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working directory was removed; change to one that exists"
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a notebook's streams are of other kinds
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return None


@contextmanager
def speaking() -> Iterator[None]:
    """Write to standard output in this block. Raises OutputError where that is full, and BrokenPipeError where its
    reader went away."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
        raise
    except OSError as error:
        silence()
        reason = error.strerror or str(error)
        raise OutputError(
            f"standard output cannot be written ({reason}); free the place or send it elsewhere"
        ) from None


def silence() -> None:
    """Throw away what is still to be written: Python would try again when it ends, and complain in its own words."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


HOME = "Where runs lie.  [default: runs]"
COMMON = (
    keyword("as_json", bool, False, "--json", help="Print one JSON object on stdout, everything else on stderr."),
    keyword("home", Path, None, "--home", metavar="DIR", envvar=VARIABLE, help=HOME, show_default=False),
    switch("debug", "Show the traceback of an error."),
)
CODE = keyword(
    "code",
    Path,
    None,
    "--code",
    metavar="FILE",
    help=("Python file of your own that makes a run's network; it runs only where it is named, and unchanged."),
    show_default=False,
)


def add_command(app: typer.Typer, function: Callable[..., Any], name: str | None = None, *, code: bool = False) -> None:
    """Make `function` a command, with `code` one that makes networks, also those of a user's own file. What it returns
    is shown; what it raises becomes one sentence and an exit code."""
    app.command(name)(_guarded(function, (CODE, *COMMON) if code else COMMON))


def _guarded(function: Callable[..., Any], common: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """`function` with the common options behind its own."""

    @functools.wraps(function)
    def command(
        *args: Any, as_json: bool, home: Path | None, debug: bool, code: Path | None = None, **kwargs: Any
    ) -> None:
        status = 0
        try:
            with _at_home(home):
                with _warnings_as_sentences(), arch_named(kwargs.get("arch"), code):
                    report = function(*args, **kwargs)
                if report is not None:
                    _show(report, as_json)
            # A report that can find fault with itself does so once it is shown: its numbers are what a user needs then.
            getattr(report, "check", lambda: None)()
            status = getattr(report, "exit_status", 0)
        except (typer.Exit, typer.BadParameter):
            raise
        except KeyboardInterrupt as interrupt:
            status = _fail(str(interrupt) or "interrupted", 130, debug, fault=False)
        except BrokenPipeError:
            silence()  # the reader went away (`foldnet lsm | head`): nothing is wrong
        except Exception as error:
            status = _fail(_sentence(error), 1, debug)
        if status:
            raise typer.Exit(status)

    own = [entry.replace(kind=entry.KEYWORD_ONLY) for entry in taken_by(function)]
    command.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *common]}
    return command


def _sentence(error: Exception) -> str:
    """What is said of an error: its own sentence where it was raised on purpose."""
    if isinstance(error, FoldnetError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"'{shortened(str(error.filename), 60)}' is too long a name for a file or folder; give a shorter one"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "this takes more memory than the machine has free; choose a smaller network or --batch-size"
    return f"unexpected {type(error).__name__}: {error}; add --debug for the traceback"


@contextmanager
def _at_home(home: Path | None) -> Iterator[None]:
    """Let runs lie in `home` while the block runs, for this process and those that it starts."""
    before = os.environ.get(VARIABLE)
    if home is not None:
        os.environ[VARIABLE] = str(home)
    try:
        yield
    finally:
        if home is not None:
            os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Say once in plain words whatever foldnet itself warns of in this block; the warnings of others look as they
    would."""
    said = set()
    with warnings.catch_warnings():
        theirs = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, FoldnetWarning):
                theirs(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                warn(str(message))

        warnings.simplefilter("always", FoldnetWarning)
        warnings.showwarning = show
        yield


def _show(report: Any, as_json: bool) -> None:
    """Print a report, as one JSON object or for a reader."""
    with speaking():
        if as_json:
            sys.stdout.write(to_json(report) + "\n")
        else:
            show(report)


def _fail(text: str, code: int, debug: bool, *, fault: bool = True) -> int:
    """Say what went wrong, or without `fault` only what ended the command; with --debug show where."""
    if debug:
        traceback.print_exc()
    complain(text, fault=fault)
    return code


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
        with minding_signals(watcher):
            yield watcher


class Minding(Protocol):
    """Who is told of signals; `saves` where there is something to save."""

    saves: bool

    def signalled(self) -> None:
        """One came. Raises KeyboardInterrupt, unless there is something to save first."""


@contextmanager
def minding_signals(watcher: Minding) -> Iterator[None]:
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
