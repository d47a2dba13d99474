"""Trials on this machine, each in a process of its own.

The processes are forked from a server that has imported torch once: a new one costs a tenth of a second instead of
three. The server has no threads and touches no device, so that what is forked from it may.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from foldnet.errors import FoldnetError
from foldnet.studies.trial import Site, Trial
from foldnet.training.observer import Silent, Stopped

# How a trial is done: its result as plain data, with an observer that may want the end. A function of a module.
Doing = Callable[[Trial, Site, Any], dict[str, Any]]
# What every optimiser imports when it is made, and what digits are read with: 1.8 and 0.9 s of each trial otherwise.
PRELOADED = ("torch._dynamo", "sklearn.datasets")
PATIENCE = 20.0  # seconds in which a process that is asked to stop has saved


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended here: its result, or why there is none; `stopped` where it was asked to."""

    trial: Trial
    result: Mapping[str, Any] | None = None
    why: str = ""
    stopped: bool = False


class Local:
    """Up to `jobs` trials at one time; of several GPUs each takes the next."""

    def __init__(self, do: Doing, jobs: int, gpus: int = 0) -> None:
        self.do, self.jobs, self.gpus = do, jobs, gpus
        self.running: dict[Connection, tuple[Trial, BaseProcess, int]] = {}
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([do.__module__, *PRELOADED])
        ensure_running()  # it imports while the study is still being looked at

    @property
    def free(self) -> int:
        """How many more trials may be started."""
        return self.jobs - len(self.running)

    def start(self, trial: Trial, site: Site) -> None:
        """Begin a trial, or go on with it."""
        slot = min(set(range(self.jobs)) - {slot for _, _, slot in self.running.values()})
        if self.gpus:
            site = replace(site, device=f"cuda:{slot % self.gpus}")
        here, there = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_work, args=(there, self.do, trial, site), name=trial.title)
        with _no_main_module():
            process.start()
        there.close()
        self.running[here] = trial, process, slot

    def wait(self, seconds: float) -> list[Outcome]:
        """The trials that have ended, at once or within some seconds."""
        ended = wait(list(self.running), seconds)
        return [self._end(connection) for connection in ended if isinstance(connection, Connection)]

    def stop(self) -> list[Outcome]:
        """Ask every trial to save and stop, and wait until it has."""
        for _, process, _ in self.running.values():
            process.terminate()
        found = []
        for connection, (_, process, _) in list(self.running.items()):
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
            found.append(self._end(connection))
        return found

    def _end(self, connection: Connection) -> Outcome:
        """What came of a trial whose process is ending."""
        trial, process, _ = self.running.pop(connection)
        try:
            result, why, stopped = connection.recv()
        except EOFError:
            process.join()
            result, why, stopped = None, _killed(process.exitcode), False
        connection.close()
        process.join()
        process.close()
        return Outcome(trial, result, why, stopped)


def _killed(code: int | None) -> str:
    """Why a process ended without a word."""
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}, perhaps for want of memory"
    return f"its process ended with exit code {code}"


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide the script that runs from processes that are started: they would run it again, up to where it starts them,
    unless it is written for that. Nothing that they are given lives in it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Asked(Silent):
    """An observer that wants the end once a signal came."""

    def __init__(self) -> None:
        self.asked = False

    def wants_stop(self) -> bool:
        """Whether a signal came."""
        return self.asked

    def signalled(self, *_: Any) -> None:
        """Note the first signal, which a training answers by saving; end at once at the second, or outside of one."""
        if self.asked or not self.training:
            raise KeyboardInterrupt
        self.asked = True

    training = False

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Only epochs can be stopped between two steps."""
        self.training = task == "epoch"


def _work(connection: Connection, do: Doing, trial: Trial, site: Site) -> None:
    """The process of one trial."""
    observer = _Asked()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started this one decides
    signal.signal(signal.SIGTERM, observer.signalled)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        connection.send((do(trial, site, observer), "", False))
    except (Stopped, KeyboardInterrupt):
        connection.send((None, "stopped", True))
    except FoldnetError as error:
        connection.send((None, str(error), False))
    except MemoryError:
        connection.send((None, "it needs more memory than the machine has free", False))
    except Exception as error:
        connection.send((None, f"unexpected {type(error).__name__}: {error}", False))


def _end_with_parent() -> None:
    """Stop when the process that runs the study is gone: nobody would keep the result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
