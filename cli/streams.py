"""Where the program's words go: what is done where standard output is closed, full, or read by nobody any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from foldnet.errors import OutputError


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
