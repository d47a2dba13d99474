"""Checks of training: a stopped one that goes on as if it never had, and how fast a soft network trains."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from foldnet.errors import BrokenPromise
from foldnet.store.tensors import load_tensors
from foldnet.training.checkpoint import FILE, read_metrics
from foldnet.training.machine import Machine
from foldnet.training.observer import Silent, Stopped
from foldnet.verbs.bench_train import bench_train
from foldnet.verbs.checks.parts import Part
from foldnet.verbs.train import train

# One epoch of four steps on the digits, and a stop in the middle.
SETTINGS: dict[str, Any] = {"dataset": "digits", "arch": "swrn-16-1-2", "epochs": 1, "batch_size": 270}
STOP_AFTER = 2
SLOWEST = 0.5  # of the plain network's speed; what is usual is 0.9 to 1.0
ON_CPU: dict[str, Any] = {"arch": "swrn-16-1-2", "batch_size": 8, "steps": 9}  # about a second
ON_GPU: dict[str, Any] = {"arch": "swrn-28-4-4", "batch_size": 128, "steps": 9}


def check_resume(machine: Machine) -> tuple[Part, ...]:
    """A training that is stopped and resumed against one that is not: how many tensors of their checkpoints differ in
    any bit."""
    settings = SETTINGS | {"device": str(machine.device), "precision": "fp32", "compile": "off"}
    # Some of cuDNN's kernels add up in an order that changes from run to run, which is no matter of resuming.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with TemporaryDirectory(prefix="foldnet-check-") as place, exact:
        whole, stopped = Path(place) / "whole", Path(place) / "stopped"
        train(out=whole, observer=Silent(), **settings)
        try:
            train(out=stopped, observer=_Stopping(STOP_AFTER), **settings)
            raise BrokenPromise("a training that was asked to stop went on to its end; report this as a fault")
        except Stopped:
            train(out=stopped, resume=True, observer=Silent(), **settings)
        losses = [[line["train_loss"] for line in read_metrics(run)] for run in (whole, stopped)]
        return (
            Part("tensors that differ", _different(whole, stopped), 0),
            Part("losses that differ", sum(one != two for one, two in zip(*losses, strict=True)), 0),
        )


def check_throughput(machine: Machine) -> tuple[Part, ...]:
    """Training steps of a soft network and of its plain twin in turns: images per second of the first by those of the
    second."""
    form = ON_GPU if machine.device.type == "cuda" else ON_CPU
    report = bench_train(**form, device=str(machine.device), compile="off")
    ratio = report.speed_ratio("soft", "plain")
    return (Part(f"speed of {report.arch} to plain", ratio.median, SLOWEST, at_least=True),)


def _different(one: Path, other: Path) -> int:
    """How many tensors of two runs' last checkpoints, momenta included, are not equal bit for bit."""
    count = 0
    for part in ("model", "optimiser"):
        ours, theirs = (load_tensors(run / "last" / FILE, part).tensors for run in (one, other))
        names = ours.keys() | theirs.keys()
        count += sum(
            name not in ours or name not in theirs or not torch.equal(ours[name], theirs[name]) for name in names
        )
    return count


class _Stopping(Silent):
    """Wants the end after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, steps: int = 1) -> None:
        """Count."""
        self.left -= steps

    def wants_stop(self) -> bool:
        """Whether they are over."""
        return self.left <= 0
