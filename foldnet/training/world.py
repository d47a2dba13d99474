"""The processes that train one network together; one process alone is a world of size 1 and skips the collectives."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foldnet.training.observer import Observer, Passing, Stopped

NOTHING, SAVE, STOP = 0, 1, 2


@dataclass(frozen=True, slots=True)
class World:
    """This process is number `rank` of `size`, and `local` of the `beside` on its machine; `store` is where they leave
    words.

    Whatever changes data does so alike in every process.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    beside: int = 1
    store: Any = field(default=None, compare=False)

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and speaks to the user."""
        return self.rank == 0

    def add_up(self, *tensors: Tensor) -> None:
        """Put the sum over all processes into each tensor."""
        if not self.alone:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def copy_buffers(self, model: nn.Module) -> None:
        """Give every process the buffers (batch norm's statistics) of process 0."""
        if not self.alone:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def tell(self, topic: str, value: Any) -> None:
        """Leave plain data under a name for the other processes."""
        if not self.alone:
            self.store.set(f"foldnet/{topic}", json.dumps(value))

    def hear(self, topic: str) -> Any:
        """What another process left or will leave under a name."""
        return json.loads(self.store.get(f"foldnet/{topic}"))

    def heard(self, topic: str, seconds: float) -> Any:
        """What another process leaves under a name within so many seconds, else None."""
        deadline = time.monotonic() + seconds
        with suppress(RuntimeError, dist.DistError):  # the store may have gone with its process
            while not self.alone and time.monotonic() < deadline:
                if self.store.check([f"foldnet/{topic}"]):
                    return self.hear(topic)
                time.sleep(0.1)
        return None


ALONE = World()


class Agreement:
    """Lets the processes do an unforeseen thing (save, stop) after the same step, without a wait in any step.

    After every step each process sends what it wants, and acts on what all sent after the step before, which has long
    arrived. The words are CPU tensors, so that reading them never waits for a GPU.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: tuple[Any, Tensor] | None = None

    def after_step(self, wanted: int) -> int:
        """What every process does now: NOTHING, or the most that one of them wanted."""
        if self.world.alone:
            return wanted
        agreed = self.close()
        flag = torch.tensor([wanted])
        self.sent = (dist.all_reduce(flag, dist.ReduceOp.MAX, async_op=True), flag)
        return agreed

    def close(self) -> int:
        """Wait for what was sent last; it must not be left under way."""
        if self.sent is None:
            return NOTHING
        work, flag = self.sent
        self.sent = None
        work.wait()
        return int(flag)


class Interruptible(Passing):
    """Passes on what happens in an evaluation, and raises Stopped where the end is wanted."""

    def __init__(self, observer: Observer, agreement: Agreement) -> None:
        super().__init__(observer)
        self.agreement = agreement

    def advance(self, steps: int = 1) -> None:
        """Passed on. Raises Stopped."""
        super().advance(steps)
        if self.agreement.after_step(STOP if self.wants_stop() else NOTHING) == STOP:
            raise Stopped
