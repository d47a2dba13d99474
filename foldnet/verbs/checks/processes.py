"""Check of training in several processes: that two of them together compute what one computes, and that they can meet
at all.

`python -m foldnet.verbs.checks.processes DEVICE FILE` is one of the processes that the environment describes as
torchrun would: it trains for a few steps on its part of every batch, and the first of them writes the weights to FILE.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import torch
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from foldnet.errors import FoldnetError, ProcessLost
from foldnet.hardware import cores
from foldnet.proof.prove import apart
from foldnet.store.tensors import load_tensors, save_tensors
from foldnet.training.learner import Learner, build_optimiser
from foldnet.training.loop import Steps
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.parallel import synchronise_norms
from foldnet.training.processes import joined
from foldnet.verbs.checks.arithmetic import batch, small_network
from foldnet.verbs.checks.parts import NotHere, Part

PROCESSES = 2
STEPS = 3
LR = 0.01
PATIENCE = 120.0  # seconds in which the processes must have started, met and trained
LOOK = 0.05  # seconds between two looks at the processes
LIMIT = 1e-3  # of the way that the weights have come: sums are added up in another order, and steps carry that on
HERE = "127.0.0.1"
COMMAND = (sys.executable, "-m", "foldnet.verbs.checks.processes")


def check_processes(machine: Machine) -> tuple[Part, ...]:
    """Two processes (NCCL on GPUs, gloo on a CPU) with synchronised norms against one."""
    on_gpus = machine.device.type == "cuda"
    if on_gpus and torch.cuda.device_count() < PROCESSES:
        raise NotHere(f"{PROCESSES} processes need {PROCESSES} GPUs and this machine has {torch.cuda.device_count()}")
    with TemporaryDirectory(prefix="foldnet-check-") as place:
        file = Path(place) / "weights.safetensors"
        run_together([*COMMAND, machine.device.type, str(file)], Path(place))
        together = load_tensors(file).tensors
    start = trained_weights(machine, steps=0)
    ways = [
        [(weights[name].double() - start[name].double()) for name in sorted(start)]
        for weights in (together, trained_weights(machine))
    ]
    return (Part(f"{PROCESSES} processes ({'NCCL' if on_gpus else 'gloo'}) to one", apart(*ways), LIMIT),)


def run_together(command: Sequence[str], place: Path) -> None:
    """Run a command in two processes of one world until both have ended well; what they say is kept in `place`.

    Raises ProcessLost where one fails, or where they take too long; none is left running.
    """
    # The store lives here and takes any free port, so that there is none to be taken by another program in between.
    store = TCPStore(HERE, 0, is_master=True, wait_for_workers=False)
    world = {
        "MASTER_ADDR": HERE,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": str(PROCESSES),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(cores() // PROCESSES, 1))),
    }
    with open(place / "said.txt", "a+") as said:
        running = [
            subprocess.Popen(
                command,
                env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            for rank in range(PROCESSES)
        ]
        try:
            _wait(running, said)
        finally:
            for process in running:
                process.kill()
                process.wait()


def _wait(running: Sequence[subprocess.Popen[bytes]], said: IO[str]) -> None:
    """Until all have ended well. Raises ProcessLost where one has not."""
    deadline = time.monotonic() + PATIENCE
    while any(process.poll() is None for process in running):
        if time.monotonic() > deadline:
            raise ProcessLost(f"{len(running)} processes did not end within {PATIENCE:.0f} s; {_last_words(said)}")
        if any(process.poll() for process in running):
            break
        time.sleep(LOOK)
    for rank, process in enumerate(running):
        if process.returncode:
            code = process.returncode
            how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
            raise ProcessLost(f"process {rank} ended {how}; {_last_words(said)}")


def _last_words(said: IO[str]) -> str:
    """The last line that a process wrote."""
    said.seek(0)
    lines = [line.strip() for line in said if line.strip()]
    return f"the last that was said: {lines[-1]}" if lines else "none of them said why"


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
