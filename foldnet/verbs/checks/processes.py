"""Check of training in several processes: that two of them together compute what one computes, and that they can meet
at all.

`python -m foldnet.verbs.checks.processes DEVICE FILE` is one of the processes that the environment describes as
torchrun would: it trains for a few steps on its part of every batch, and the first of them writes the weights to FILE.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from foldnet.errors import FoldnetError, ProcessLost
from foldnet.proof.prove import apart
from foldnet.store.tensors import load_tensors, save_tensors
from foldnet.training.learner import Learner, build_optimiser
from foldnet.training.loop import Steps
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.parallel import synchronise_norms
from foldnet.training.processes import joined
from foldnet.training.starting import run_together
from foldnet.verbs.checks.arithmetic import batch, small_network
from foldnet.verbs.checks.parts import NotHere, Part

PROCESSES = 2
STEPS = 3
LR = 0.01
PATIENCE = 120.0  # seconds in which the processes must have started, met and trained
# Of the way that the weights have come. Sums are added up in another order, which switches units that are nearly zero,
# as in the checks of arithmetic: 1e-7 or 7e-5 here by the processor's instructions, up to 0.003 there. Norms that are
# not synchronised give 0.08.
LIMIT = 0.01
COMMAND = (sys.executable, "-m", "foldnet.verbs.checks.processes")


def check_processes(machine: Machine) -> tuple[Part, ...]:
    """Two processes (NCCL on GPUs, gloo on a CPU) with synchronised norms against one."""
    on_gpus = machine.device.type == "cuda"
    if on_gpus and torch.cuda.device_count() < PROCESSES:
        raise NotHere(f"{PROCESSES} processes need {PROCESSES} GPUs and this machine has {torch.cuda.device_count()}")
    with TemporaryDirectory(prefix="foldnet-check-") as place:
        file = Path(place) / "weights.safetensors"
        run_two([*COMMAND, machine.device.type, str(file)], Path(place))
        together = load_tensors(file).tensors
    start = trained_weights(machine, steps=0)
    ways = [
        [(weights[name].double() - start[name].double()) for name in sorted(start)]
        for weights in (together, trained_weights(machine))
    ]
    return (Part(f"{PROCESSES} processes ({'NCCL' if on_gpus else 'gloo'}) to one", apart(*ways), LIMIT),)


def run_two(command: Sequence[str], place: Path) -> None:
    """Run a command in two processes of one world until both have ended well; what they say is kept in `place`.

    Raises ProcessLost where one fails, or where they take too long; none is left running.
    """
    with open(place / "said.txt", "a+") as said:
        ended = run_together(command, PROCESSES, PATIENCE, stdin=DEVNULL, stdout=DEVNULL, stderr=said)
        said.seek(0)
        lines = [line.strip() for line in said if line.strip()]
    wrong = [
        f"process {rank} ended " + (f"with exit code {code}" if code > 0 else f"by signal {-code}")
        for rank, code in enumerate(ended.values())
        if code
    ]
    if None in ended.values():
        wrong.append(f"{PROCESSES} processes did not end within {PATIENCE:.0f} s")
    if wrong:
        last_words = f"the last that was said: {lines[-1]}" if lines else "none of them said why"
        raise ProcessLost(f"{wrong[0]}; {last_words}")


def trained_weights(machine: Machine, steps: int = STEPS) -> dict[str, Tensor]:
    """The weights and statistics, on the CPU, after some steps with synchronised norms; every process takes its part of
    the batch."""
    world, (x, y) = machine.world, batch(machine)
    network = synchronise_norms(small_network(machine), machine)
    optimiser = build_optimiser(network, lr=LR, momentum=0.9, weight_decay=0.0)
    mine = slice(world.rank, None, world.size)
    step = Steps(Learner(model=network, optimiser=optimiser, machine=machine), len(y[mine]))
    with machine.exact_fp32():
        for _ in range(steps):
            step(x[mine], y[mine], share=len(y[mine]) * world.size / len(y))
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
