"""What a network of steps may learn besides the answer after its last step: answers after others, and to come to
rest."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from foldnet.data.tasks import Task
from foldnet.errors import SettingError
from foldnet.sharing.share import SharedNetwork
from foldnet.training.machine import Machine

GROWN = 0.5  # share of the training after which the reach is as far as it goes
QUARTERS = 4  # deep supervision asks for the answer after each quarter of the steps


class StepLosses:
    """Losses of parts of a network of steps, each with its weight. Raises SettingError for a network without steps.

    `progressive` (Bansal et al., https://arxiv.org/abs/2202.05826): of `depth` steps a part starts after 0 to
    depth - 1, whose work is taken as given, and goes on for 1 step to all that are left; both numbers are drawn anew
    for every batch. The loss is (1 - weight) times that of the whole network and weight times that of the part. With a
    `reach` above 1 parts start after up to reach times the steps, past the last of which that one runs again, as in a
    loop that is turned, so that the state learns to rest. The reach grows from 1 over the first half of the training.
    A share `mixed_starts` of these batches, which grows with it, instead begins in the state in which another example
    is after so many steps, and runs all of them: what a state holds of the past must not matter (path independence,
    Anil et al., https://arxiv.org/abs/2211.09961), as it does not where a long string waits for its beginning.

    `deep_supervision` (Lee et al., https://arxiv.org/abs/1409.5185): (1 - weight) times the rest, and weight times the
    mean loss after a quarter, a half and three quarters of the steps.

    `fixed_point` (terminal fixed-point loss, https://arxiv.org/abs/2608.18222): weight times |s' - s|^2 / |s'|^2, where
    the last step takes the state s to s'; the steps before it are taken as given.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        machine: Machine,
        *,
        progressive: float = 0.0,
        progressive_reach: float = 1.0,
        mixed_starts: float = 0.0,
        deep_supervision: float = 0.0,
        fixed_point: float = 0.0,
    ) -> None:
        from foldnet.zoo.steps import StepNetwork

        self.model, self.task, self.machine = model, task, machine
        self.progressive, self.deep_supervision, self.fixed_point = progressive, deep_supervision, fixed_point
        network = model.network if isinstance(model, SharedNetwork) else model
        if not isinstance(network, StepNetwork):
            given = {"progressive": progressive, "deep_supervision": deep_supervision, "fixed_point": fixed_point}
            name = next((name for name, weight in given.items() if weight), "progressive")
            raise SettingError(f"`{name}={given[name]:g}` needs a network of steps, such as scnn-20-32-1; leave it out")
        self.depth = len(network.body)
        self.reach, self.farthest = progressive_reach, self.depth
        self.mixed_starts, self.mixed = mixed_starts, 0.0

    def begin(self, share: float) -> None:
        """Hear what share of the training, 0..1, is over."""
        grown = min(share / GROWN, 1)
        self.farthest = round(self.depth * (1 + (self.reach - 1) * grown))
        self.mixed = self.mixed_starts * grown

    def part(self, x: Tensor) -> Tensor:
        """The answer (n, ...) of a part that is drawn for x (n, ...)."""
        start = int(torch.randint(self.farthest, ()))
        steps = int(torch.randint(1, min(self.depth, self.farthest - start) + 1, ()))
        asked: dict[str, int | bool] = {"start": start, "steps": steps}
        if self.mixed and float(torch.rand(())) < self.mixed:
            asked = {"start": start, "mixed": True}
        with self.machine.autocast():
            answer: Tensor = self.model(x, **asked)
        return answer.float()

    @property
    def run(self) -> Callable[[Tensor], Tensor] | None:
        """What stands for the whole network where nothing of the loss is that of the whole."""
        alone = self.progressive == 1 and not self.deep_supervision and not self.fixed_point
        return self.part if alone else None

    def __call__(self, outputs: Tensor, targets: Tensor, x: Tensor) -> Tensor:
        """The loss, a scalar, from the whole network's outputs (n, ...), targets (n, ...) and inputs (n, ...)."""
        loss = self.task.loss(outputs, targets)
        if self.progressive:
            loss = (1 - self.progressive) * loss + self.progressive * self.task.loss(self.part(x), targets)
        if self.deep_supervision:
            # Of a network of few steps a quarter may be none.
            depths = tuple(sorted({max(1, self.depth * quarter // QUARTERS) for quarter in range(1, QUARTERS)}))
            answers = self._traced(x, at=depths)[:-2]
            early = torch.stack([self.task.loss(answer, targets) for answer in answers]).mean()
            loss = (1 - self.deep_supervision) * loss + self.deep_supervision * early
        if self.fixed_point:
            before, after = self._traced(x, start=self.depth - 1, at=(1,))[-2:]
            loss = loss + self.fixed_point * (after - before).square().sum() / after.square().sum().clamp_min(1e-12)
        return loss

    def _traced(self, x: Tensor, **asked: int | tuple[int, ...]) -> list[Tensor]:
        """What a traced pass gives, in fp32."""
        with self.machine.autocast():
            found = self.model(x, **asked)
        return [one.float() for one in found]
