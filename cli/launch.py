"""Several processes that train one network: what `--gpus` starts, and what it takes to be one of them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from foldnet.errors import FoldnetError, ProcessLost, SettingError
from foldnet_cli.page import complain

MOST_PROCESSES = 100_000
SAID = 3.0  # seconds in which the first process has said what is wrong with all
ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets for its processes


def in_world() -> bool:
    """Whether torchrun started this process."""
    return all(name in os.environ for name in ENVIRONMENT)


def rank() -> int | None:
    """This process's number among those that torchrun started; None where it started none. Raises SettingError where
    the environment contradicts itself."""

    def number(name: str, least: int, most: int, default: str | None = None) -> int:
        text = os.environ.get(name, default) or ""
        value = int(text) if text.isdecimal() and len(text) < 10 else -1
        if not least <= value <= most:
            raise SettingError(
                f"{name}={text} in the environment is not legal; give a whole number from {least} to {most}, "
                f"or unset {name} to train in one process"
            )
        return value

    if not in_world():
        return None
    size = number("WORLD_SIZE", 1, MOST_PROCESSES)
    beside = number("LOCAL_WORLD_SIZE", 1, size, default="1")
    number("LOCAL_RANK", 0, max(beside, size) - 1)
    number("MASTER_PORT", 1, 65535)
    return number("RANK", 0, size - 1)


@contextmanager
def one_of_several() -> Iterator[Any]:
    """The world of the processes that torchrun started. What the first of them says of an error the others need not say
    again."""
    from foldnet.training.processes import joined

    local, beside = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = None
    try:
        with joined(local, beside, complain) as world:
            yield world
    except KeyboardInterrupt:
        if world is not None and not world.writes:
            raise typer.Exit(130) from None
        raise
    except FoldnetError as error:
        told = isinstance(error, ProcessLost) and error.told
        if world is not None and world.writes:
            world.tell("error", str(error))
        elif told or (world is not None and world.heard("error", SAID) == str(error)):
            raise typer.Exit(1) from None
        raise


def check_gpus(gpus: int, device: str | None) -> None:
    """Raise SettingError where `--gpus` asks for what is not there, or contradicts something else."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    elsewhere = device not in (None, "auto", "cuda")
    several = f"train in several processes with `torchrun --nproc-per-node {gpus} -m foldnet_cli train --device cpu`"
    for wrong, said in (
        (in_world(), "has no meaning in a process that torchrun started; leave it out"),
        (gpus < 1, "is not legal; give a whole number of at least 1"),
        (elsewhere, f"and --device {device} contradict each other; leave one of them out"),
        (not count, f"needs GPUs and this machine has none; leave it out, or {several}"),
        (gpus > count, f"is more than the {count} of this machine; give at most {count}"),
    ):
        if wrong:
            raise SettingError(f"--gpus {gpus} {said}")


def launch(gpus: int) -> None:
    """Run this very command once a GPU, and end as it ends."""
    start_processes(gpus, _without_gpus(sys.argv[1:]))


def start_processes(count: int, arguments: list[str]) -> None:
    """Run `foldnet` with these arguments in `count` processes of this machine, as torchrun would, until all have ended.

    Where one fails the others are ended, and a signal to end is passed on to them. Raises typer.Exit with the code of
    one that said itself what is wrong or how far it came, and ProcessLost where one was killed.
    """
    from foldnet.training.starting import run_together

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends a job on a cluster
    try:
        ended = run_together([sys.executable, "-m", "foldnet_cli", *arguments], count)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None  # the first process has said how far it came
    for rank, (pid, code) in enumerate(ended.items()):
        if code and code > 0:
            raise typer.Exit(code)
        if code:
            raise ProcessLost(
                f"process {rank} (pid {pid}) was ended by {signal.Signals(-code).name}, and the others with it; "
                f"go on from the last checkpoint with --resume"
            )


def _without_gpus(arguments: list[str]) -> list[str]:
    """The arguments without --gpus N or --gpus=N."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument != "--gpus" and not argument.startswith("--gpus="):
            kept.append(argument)
        skip = argument == "--gpus"
    return kept
