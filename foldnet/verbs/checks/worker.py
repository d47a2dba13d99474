"""What each of several processes does while a machine is checked: a few training steps on its part of every batch.

`python -m foldnet.verbs.checks.worker DEVICE FILE` does it as one of the processes that the environment describes as
torchrun would, and the first of them writes the weights to FILE.
"""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from foldnet.errors import FoldnetError
from foldnet.store.tensors import save_tensors
from foldnet.training.course import Objective, build_optimiser
from foldnet.training.loop import step
from foldnet.training.machine import UNCOMPILED, Machine, choose_machine, exact_fp32
from foldnet.training.parallel import Forward, synchronise_norms
from foldnet.training.processes import joined
from foldnet.verbs.checks.passes import batch, small_network

STEPS = 3
LR = 0.01


def trained_weights(machine: Machine, steps: int = STEPS) -> dict[str, Tensor]:
    """The weights and statistics, on the CPU, after some steps with synchronised norms; every process takes its part of
    the batch."""
    world, (x, y) = machine.world, batch(machine)
    network = synchronise_norms(small_network(machine), machine)
    optimiser = build_optimiser(network, lr=LR, momentum=0.9, weight_decay=0.0)
    mine = slice(world.rank, None, world.size)
    share = len(y[mine]) * world.size / len(y)
    run = Forward(network, machine, UNCOMPILED, len(y[mine]))
    with exact_fp32(machine):
        for _ in range(steps):
            step(network, optimiser, x[mine], y[mine], machine, Objective(), run=run, share=share)
    world.copy_buffers(network)
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}


def work(device: str, file: Path) -> None:
    """Be one of the processes. Raises ProcessLost where another one dies, SettingError where the device is not
    there."""
    local, beside = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    with joined(local, beside, _say) as world:
        machine = choose_machine(device, "fp32", world)
        if machine.device.type == "cuda":
            torch.cuda.set_device(machine.device)
        weights = trained_weights(machine)
        if world.writes:
            save_tensors(file, weights)


def _say(sentence: str) -> None:
    """One line for whoever started this process."""
    sys.stderr.write(sentence + "\n")


if __name__ == "__main__":
    try:
        work(sys.argv[1], Path(sys.argv[2]))
    except FoldnetError as error:
        _say(str(error))
        raise SystemExit(1) from None
