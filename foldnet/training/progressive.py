"""The progressive loss of networks of steps: beside the whole network's, that of a part of it (Bansal et al.,
https://arxiv.org/abs/2202.05826)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from foldnet.data.tasks import Task
from foldnet.errors import SettingError
from foldnet.sharing.share import SharedNetwork
from foldnet.training.machine import Machine
from foldnet.zoo.shortest_paths import PathNetwork


def progressive_loss(
    model: nn.Module, task: Task, machine: Machine, weight: float
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(1 - weight) times the loss of the whole network and `weight` times that of a part of it.

    Of `depth` steps the part starts after 0 to depth - 1, whose work is taken as given, and goes on for 1 step to all
    that are left; both numbers are drawn anew for every batch. Raises SettingError for a network without such steps.
    """
    network = model.network if isinstance(model, SharedNetwork) else model
    if not isinstance(network, PathNetwork):
        raise SettingError(f"`progressive={weight:g}` needs a network of steps, such as scnn-20-32-1; leave it out")
    depth = len(network.body)

    def loss(outputs: Tensor, targets: Tensor, x: Tensor) -> Tensor:
        start = int(torch.randint(depth, ()))
        steps = int(torch.randint(1, depth - start + 1, ()))
        with machine.autocast():
            partial = model(x, start=start, steps=steps).float()
        return (1 - weight) * task.loss(outputs, targets) + weight * task.loss(partial, targets)

    return loss
