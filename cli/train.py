"""foldnet train: its options are the fields of TrainSettings and of the sources. Several processes may train one
network: what starts them, and what it takes to be one of them, stands below."""

import inspect
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from foldnet.data.sources import SOURCES
from foldnet.errors import FoldnetError, ProcessLost, RunError, SettingError, either
from foldnet.options import fields_of
from foldnet.training.settings import TrainSettings, usual, written
from foldnet_cli.options import FORCE_TWICE, keyword, parameters_of, shared, switch, takes, values_of
from foldnet_cli.page import complain, watching

EVERY = "Least time between checkpoints at the ends of epochs; epochs of over five minutes make some within."
RESUME = "Go on with --out, or with the newest run; with more --epochs than it has, by the schedule of the longer run."
OWN = (
    switch("recall", "Feed the input to every step of a cnn or scnn: its -recall form."),
    keyword("gpus", int, help="Train on so many GPUs of this machine, one process each.  [default: one process]"),
    *shared("data_dir"),
    switch("download", "Fetch CIFAR into --data-dir if it is not there."),
    keyword("config", Path, help="TOML file with any of these settings; options win."),
    keyword("checkpoint_every", float, 30.0, metavar="SECONDS", help=EVERY),
    switch("tensorboard", "Write the epochs' numbers into the run folder for TensorBoard too."),
    keyword("out", Path, help="Run folder to make.  [default: a new one under --home]"),
    switch("resume", RESUME),
    FORCE_TWICE,
)
MOST_PROCESSES = 100_000
SAID = 3.0  # seconds in which the first process has said what is wrong with all
ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets for its processes


def parameters() -> Iterator[inspect.Parameter]:
    """An option for each setting that there is when the command line is made, and those of this command."""
    said = f"{either(SOURCES)}.  [default: digits]"
    yield keyword("dataset", str, help=said, autocompletion=lambda: list(SOURCES))
    own: dict[str, inspect.Parameter] = {}
    for source in SOURCES.values():
        defaults = {name: written(field.default) for name, field in fields_of(source).items()}
        own |= parameters_of(source, usual=defaults.__getitem__)
    yield from (*parameters_of(TrainSettings, usual=usual, leave=own).values(), *own.values(), *OWN)


@takes(parameters)
def train(gpus: int | None, data_dir: Path | None, **given: Any) -> Any:
    """Train a network and keep everything about it in a run folder.

    Without options: SWRN 28-2-4 on the digits inside scikit-learn, half a minute on a laptop. CIFAR gets the paper's
    recipe, and so do shortest paths (`--dataset paths`), which are drawn as they are needed, phase by phase.
    """
    if gpus is not None:
        check_gpus(gpus, given["device"])
        given["device"] = "cuda"
        if gpus > 1:
            return launch(gpus)
    from foldnet.verbs.train import train as recipe

    for source in SOURCES.values():
        given |= values_of(source, given)
    given["data_dir"] = None if data_dir is None else str(data_dir)
    first = not in_world() or rank() == 0
    if first and given["resume"] and given["out"] is None:
        from foldnet_cli.outputs import taken

        with suppress(RunError):  # there is none to go on with
            given["out"] = taken(None)
    if not in_world():
        with watching(saves=True) as observer:
            return recipe(observer=observer, **given)
    with watching(saves=True, quiet=not first) as observer, one_of_several() as world:
        report = recipe(observer=observer, world=world, **given)
    return report if world.writes else None  # only the first of several has something to show


def in_world() -> bool:
    """Whether torchrun started this process."""
    return all(name in os.environ for name in ENVIRONMENT)


def rank() -> int:
    """This process's number among those that torchrun started. Raises SettingError where the environment contradicts
    itself."""

    def number(name: str, least: int, most: int, default: str | None = None) -> int:
        text = os.environ.get(name, default) or ""
        value = int(text) if text.isdecimal() and len(text) < 10 else -1
        if not least <= value <= most:
            raise SettingError(
                f"{name}={text} in the environment is not legal; give a whole number from {least} to {most}, "
                f"or unset {name} to train in one process"
            )
        return value

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
