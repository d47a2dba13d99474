"""The process of one trial: it does the trial, sends what came of it, and ends when it is asked to or left alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from foldnet.errors import FoldnetError
from foldnet.studies.trial import Site, Trial
from foldnet.training.observer import Silent

# How a trial is done: its result as plain data, with an observer that may want the end. A function of a module.
Doing = Callable[[Trial, Site, Any], dict[str, Any]]
PATIENCE = 20.0  # seconds in which a process that is asked to stop has saved


def work(connection: Connection, do: Doing, trial: Trial, site: Site) -> None:
    """Do a trial and send (result or None, why there is none, whether it was asked to stop).

    Nobody may read it any more: the study's process can be killed at any moment.
    """
    asked = Asked()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started this one decides
    signal.signal(signal.SIGTERM, asked.signalled)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        said = _done(do, trial, site, asked)
    except KeyboardInterrupt:  # Stopped is one
        said = None, "stopped", True
    asked.over = True
    with suppress(OSError):
        connection.send(said)


def _done(do: Doing, trial: Trial, site: Site, asked: Asked) -> tuple[dict[str, Any] | None, str, bool]:
    """The trial's result, or why there is none. Raises Stopped and KeyboardInterrupt."""
    try:
        return do(trial, site, asked), "", False
    except FoldnetError as error:
        return None, str(error), False
    except MemoryError:
        return None, "it needs more memory than the machine has free", False
    except Exception as error:
        return None, f"unexpected {type(error).__name__}: {error}", False


class Asked(Silent):
    """An observer that wants the end once a signal came: between two steps of a training, which saves then, and
    anywhere else at once."""

    def __init__(self) -> None:
        self.came = self.training = self.over = False

    def signalled(self, *_: Any) -> None:
        """Note a signal. Raises KeyboardInterrupt outside of a training."""
        self.came = True
        if not self.training and not self.over:
            raise KeyboardInterrupt

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Only epochs can be stopped between two steps. Raises KeyboardInterrupt where the signal came just before."""
        self.training = task == "epoch"
        self.advance()

    def advance(self, steps: int = 1) -> None:
        """What is no epoch ends here where the interrupt got lost, as it does in destructors."""
        if self.came and not self.training:
            raise KeyboardInterrupt

    def wants_stop(self) -> bool:
        """Whether a signal came."""
        return self.came


def _end_with_parent() -> None:
    """End at once when the process that runs the study is gone: nobody would keep the result, and whoever runs the
    study again must not meet this one in the run's folder. At most what followed the last checkpoint is lost."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)
