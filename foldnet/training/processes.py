"""Joining the processes that torchrun (or `foldnet train --gpus`) started, and noticing when one of them dies."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from foldnet.errors import ProcessLost
from foldnet.training.machine import ALONE, World
from foldnet.training.observer import Stopped

TO_MEET = timedelta(minutes=10)  # until all processes have started
TO_PREPARE = timedelta(days=1)  # until the first has read its data; that it lives is known from its pulse
BEAT = 1.0  # seconds between two signs of life
SILENCE = 12.0  # seconds without one after which a process is taken for dead
GRACE = 3.0  # seconds that the main thread then has to fail by itself before it is ended
LEFT = "left"
ENDS = "so this one ends too; go on from the last checkpoint with `resume=True`"
# Words of torch's and gloo's errors where the other end has gone.
CONNECTION = re.compile("Connection (closed by peer|reset|refused)|Broken pipe|gloo|NCCL|TCPStore")


@contextmanager
def joined(local: int, beside: int, last_words: Callable[[str], None]) -> Iterator[World]:
    """The world of this process while the block runs, as torchrun's environment says; it is number `local` of `beside`
    on its machine.

    Raises ProcessLost where another process dies while this one works with it. Where this one waits in a collective
    that does not come back, `last_words` gets the sentence and the process ends with exit code 1.
    """
    try:
        store, rank, size = next(rendezvous("env://", timeout=TO_MEET))
    except (RuntimeError, ValueError, dist.DistError) as error:
        raise ProcessLost(_not_met(error)) from None
    if size == 1:
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=PrefixStore("torch", store), rank=rank, world_size=size)
    words = store.clone()
    words.set_timeout(TO_PREPARE)
    world = World(rank, size, local, beside, PrefixStore("words", words))
    pulse = _Pulse(store.clone(), rank, size, last_words)
    pulse.start()
    try:
        yield world
    except Stopped:
        pulse.leave()
        raise
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, dist.DistError) as error:  # what a collective raises when the other end has gone
        lost = pulse.lost(patience=SILENCE + 2 * BEAT) or unreachable(error)
        if lost is None:
            raise
        raise ProcessLost(lost) from None
    else:
        pulse.leave()
        dist.destroy_process_group()
    finally:
        pulse.stopped.set()


def unreachable(error: Exception) -> str | None:
    """What is said of an error of the connection itself, without torch's backtrace; None for any other error.

    On a busy machine the signs of life of a dead process may be missed later than the connection to it.
    """
    text = str(error)
    if not isinstance(error, dist.DistError) and not CONNECTION.search(text):
        return None
    reason = text.split("\n")[0].strip()[:200]
    return f"another process cannot be reached any more ({reason}), {ENDS}"


def _not_met(error: Exception) -> str:
    """What is said where the processes cannot find each other."""
    place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    if "EADDRINUSE" in str(error) or "already in use" in str(error):
        return f"the processes cannot meet at '{place}', which another program uses; choose another MASTER_PORT"
    reason = str(error).split("\n")[0]
    return f"the processes cannot meet at '{place}' ({reason}); check MASTER_ADDR and MASTER_PORT"


class _Pulse(threading.Thread):
    """Gives signs of life through the store, and watches for those of the others."""

    def __init__(self, store: Any, rank: int, size: int, last_words: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name="foldnet pulse")
        self.store = PrefixStore("pulse", store)
        self.rank, self.size, self.last_words = rank, size, last_words
        self.stopped = threading.Event()
        self.death: str | None = None
        self.store.set(f"name/{rank}", f"process {rank} (pid {os.getpid()} on '{socket.gethostname()}')")

    def run(self) -> None:
        """Beat until stopped, or until another process is silent."""
        beats, seen = 0, {rank: (b"", time.monotonic()) for rank in range(self.size)}
        while not self.stopped.wait(BEAT):
            beats += 1
            try:
                self.store.set(f"beat/{self.rank}", str(beats))
                for rank in range(self.size):
                    if rank != self.rank and self._silent(rank, seen):
                        self._end(f"{self.store.get(f'name/{rank}').decode()} is gone")
                        return
            except (RuntimeError, dist.DistError):
                self._end("the process that keeps the others together is gone")
                return

    def _silent(self, rank: int, seen: dict[int, tuple[bytes, float]]) -> bool:
        """Whether a process has given no sign of life for too long. One that has left is not missed."""
        last, when = seen[rank]
        beat = self.store.get(f"beat/{rank}") if self.store.check([f"beat/{rank}"]) else b""
        if beat != last:
            seen[rank] = (beat, time.monotonic())
            return False
        return beat != LEFT.encode() and time.monotonic() - when > SILENCE

    def _end(self, what: str) -> None:
        """Say so to the main thread, and end the process where that one does not hear."""
        self.death = f"{what}, {ENDS}"
        if not self.stopped.wait(GRACE):
            self.last_words(self.death)
            os._exit(1)

    def lost(self, patience: float) -> str | None:
        """What is known of a death, waiting so many seconds for it to show."""
        deadline = time.monotonic() + patience
        while self.death is None and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.death

    def leave(self) -> None:
        """End as a process that is done, which the others do not take for dead."""
        self.stopped.set()
        self.join()
        self.store.set(f"beat/{self.rank}", LEFT)
