"""What a training is to do: how long, how fast, by which seed, and what its steps minimise."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from foldnet.data.lengths import Lengthened, length_at
from foldnet.data.tasks import CLASSES, Task
from foldnet.training.observer import EPOCH
from foldnet.training.optimiser import learning_rate


@dataclass(frozen=True, slots=True)
class Objective:
    """What the steps minimise: `loss` of (outputs, targets, inputs), by default the task's, less the weighted
    recurrence."""

    recurrence: float = 0.0
    form: str = "mean"
    task: Task = CLASSES
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how fast is trained, by which seed, and towards what; `lengthened` where it was to be shorter at
    first.

    `name` is what an epoch is called.
    """

    epochs: int
    lr: float
    seed: int
    schedule: str = "steps"
    objective: Objective = Objective()
    lengthened: Lengthened = ()
    name: str = EPOCH

    def rate(self, epoch: int) -> float:
        """The learning rate of epoch 0, 1, ..."""
        return learning_rate(epoch, length_at(epoch, self.epochs, self.lengthened), self.lr, self.schedule)
