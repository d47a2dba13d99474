"""What a training is to do: how long, how fast, by which seed, and what its steps minimise."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldnet.data.tasks import CLASSES, Lengthened, Task, length_at
from foldnet.training.observer import EPOCH
from foldnet.training.settings import OPTIMISERS, SCHEDULES


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


DROPS = (30, 60, 80)  # per cent of the epochs after which the learning rate falls
DROP = 0.2
MIXING = ("coefficients", "gains", "gain")  # what mixes or scales shared weights never decays


def build_optimiser(
    model: nn.Module, *, lr: float, momentum: float, weight_decay: float, kind: str = "sgd"
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or Adam ("adam"; `momentum` is its first beta); coefficients and gains never
    decay."""
    assert kind in OPTIMISERS
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (free if name.rpartition(".")[2] in MIXING else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if kind == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=(momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)


def learning_rate(epoch: int, epochs: int, lr: float, schedule: str = "steps") -> float:
    """The rate of epoch 0, 1, ...: `lr`, and with "steps" times 0.2 once 30, 60 and 80 % of the epochs are over."""
    assert schedule in SCHEDULES
    if schedule == "constant":
        return lr
    return lr * DROP ** sum(100 * epoch >= share * epochs for share in DROPS)
