"""The optimiser of the paper's recipe, and its steps of the learning rate."""

import torch
from torch import nn

DROPS = (30, 60, 80)  # per cent of the epochs after which the learning rate falls
DROP = 0.2
MIXING = (
    "coefficients",
    "gains",
    "gain",
)  # what mixes or scales shared weights never decays (paper, section 4)


def build_optimiser(model: nn.Module, *, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay on everything except coefficients and gains."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (free if name.rpartition(".")[2] in MIXING else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=lr,
        momentum=momentum,
        nesterov=momentum > 0,
        fused=True,
    )


def learning_rate(epoch: int, epochs: int, lr: float) -> float:
    """The rate of epoch 0, 1, ...: `lr`, times 0.2 once 30, 60 and 80 % of the epochs are over."""
    return lr * DROP ** sum(100 * epoch >= share * epochs for share in DROPS)
