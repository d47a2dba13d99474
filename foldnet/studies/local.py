"""Trials on this machine, each in a process of its own.

The processes are forked from a server that has imported torch once: a new one costs a tenth of a second instead of
three. The server has no threads and touches no device, so that what is forked from it may.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from foldnet.studies.trial import Site, Trial
from foldnet.studies.worker import PATIENCE, Doing, work

# What every optimiser imports when it is made, and what digits are read with: 1.8 and 0.9 s of each trial otherwise.
PRELOADED = ("torch._dynamo", "sklearn.datasets")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended here: its result, or why there is none; `stopped` where it was asked to."""

    trial: Trial
    result: Mapping[str, Any] | None = None
    why: str = ""
    stopped: bool = False


class Local:
    """Up to `jobs` trials at one time; of several GPUs each takes the next."""

    def __init__(self, do: Doing, jobs: int, gpus: int = 0, preload: str = "") -> None:
        """`preload` names a module that `do` imports, to be imported once for all trials."""
        self.do, self.jobs, self.gpus = do, jobs, gpus
        self.running: dict[Connection, tuple[Trial, BaseProcess, int]] = {}
        self.stopping = False
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([preload or do.__module__, *PRELOADED])
        with _without_interrupts():  # a Ctrl-C must not reach a worker before it says what it does with one
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
        process = self.context.Process(target=work, args=(there, self.do, trial, site), name=trial.title)
        with _no_main_module(), _without_interrupts():  # one in between would leave a process that nobody knows of
            process.start()
            self.running[here] = trial, process, slot
        there.close()

    def wait(self, seconds: float) -> list[Outcome]:
        """The trials that have ended, at once or within some seconds."""
        ended = wait(list(self.running), seconds)
        return [self._end(connection) for connection in ended if isinstance(connection, Connection)]

    def stop(self) -> list[Outcome]:
        """Ask every trial to save and stop, and wait until it has; an interrupt meanwhile kills them."""
        self.stopping, deadline = True, time.monotonic() + PATIENCE
        found = []
        try:
            for _, process, _ in self.running.values():
                process.terminate()
            while self.running and time.monotonic() < deadline:
                found += self.wait(deadline - time.monotonic())
        finally:
            for _, process, _ in self.running.values():
                process.kill()
        return found + [self._end(connection) for connection in list(self.running)]

    def _end(self, connection: Connection) -> Outcome:
        """What came of a trial whose process is ending."""
        trial, process, _ = self.running.pop(connection)
        try:
            result, why, stopped = connection.recv()
        except (EOFError, OSError):  # at once, or within what it sent
            process.join()
            result, why, stopped = None, _killed(process.exitcode), self.stopping
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
def _without_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait for the end of the block; processes that are started in it never get one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
