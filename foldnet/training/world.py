"""The processes that train one network together; one process alone is a world of size 1 and skips the collectives."""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

AGREE_EVERY = 8  # steps between two rounds in which the processes tell each other what they want
NOTHING, SAVE, STOP = 0, 1, 2


@dataclass(frozen=True, slots=True)
class World:
    """This process is number `rank` of `size`, and `local` on its machine; `store` is where they leave each other words.

    Whatever changes data does so alike in every process.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
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


ALONE = World()


class Agreement:
    """Lets the processes do an unforeseen thing (save, stop) after the same step, without a wait in any step.

    Every AGREE_EVERY steps each process sends what it wants, and acts on what all sent AGREE_EVERY steps before. The words are
    CPU tensors, so that reading them never waits for a GPU.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.wanted = NOTHING
        self.steps = 0
        self.sent: tuple[Any, Tensor] | None = None

    def after_step(self, wanted: int) -> int:
        """What every process does now: NOTHING, or the most that one of them wanted."""
        if self.world.alone:
            return wanted
        self.wanted = max(self.wanted, wanted)
        self.steps += 1
        if self.steps % AGREE_EVERY:
            return NOTHING
        agreed = self.close()
        flag = torch.tensor([self.wanted])
        self.wanted = NOTHING
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
