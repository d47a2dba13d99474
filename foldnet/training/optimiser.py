"""Optimisers, and how their learning rate falls. The defaults are the paper's recipe for CIFAR (section 4)."""

import torch
from torch import nn

from foldnet.training.settings import OPTIMISERS, SCHEDULES

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
