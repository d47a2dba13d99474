"""Check of training in several processes: that two of them together compute what one computes, and that they can meet
at all."""

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

from foldnet.errors import ProcessLost
from foldnet.hardware import cores
from foldnet.proof.prove import apart
from foldnet.store.tensors import load_tensors
from foldnet.training.machine import Machine
from foldnet.verbs.checks.parts import NotHere, Part
from foldnet.verbs.checks.worker import trained_weights

PROCESSES = 2
PATIENCE = 120.0  # seconds in which the processes must have started, met and trained
LOOK = 0.05  # seconds between two looks at the processes
LIMIT = 1e-3  # of the way that the weights have come: sums are added up in another order, and steps carry that on
HERE = "127.0.0.1"
COMMAND = (sys.executable, "-m", "foldnet.verbs.checks.worker")


def check_processes(machine: Machine) -> tuple[Part, ...]:
    """Two processes (NCCL on GPUs, gloo on a CPU) with synchronised norms against one."""
    on_gpus = machine.device.type == "cuda"
    if on_gpus and torch.cuda.device_count() < PROCESSES:
        raise NotHere(f"{PROCESSES} processes need {PROCESSES} GPUs and this machine has {torch.cuda.device_count()}")
    with TemporaryDirectory(prefix="foldnet-check-") as place:
        file = Path(place) / "weights.safetensors"
        run_together([*COMMAND, "cuda" if on_gpus else "cpu", str(file)], Path(place))
        together = load_tensors(file).tensors
    alone = trained_weights(machine)
    start = trained_weights(machine, steps=0)
    what = f"{PROCESSES} processes ({'NCCL' if on_gpus else 'gloo'}) to one"
    return (Part(what, _off(together, alone, start), LIMIT),)


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
            how = (
                f"with exit code {process.returncode}" if process.returncode > 0 else f"by signal {-process.returncode}"
            )
            raise ProcessLost(f"process {rank} ended {how}; {_last_words(said)}")


def _last_words(said: IO[str]) -> str:
    """The last line that a process wrote."""
    said.seek(0)
    lines = [line.strip() for line in said if line.strip()]
    return f"the last that was said: {lines[-1]}" if lines else "none of them said why"


def _off(one: dict[str, Tensor], other: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """How far two sets of weights are apart, against the way that the second has come from the start."""
    ours, theirs, before = (
        torch.cat([weights[name].double().flatten() for name in sorted(weights)]) for weights in (one, other, start)
    )
    return apart(ours - before, theirs - before)
