"""Several processes that train one network: starting them, and being one of them."""

import logging
import os
import signal
import sys
import uuid
from contextlib import AbstractContextManager
from typing import Any

import typer

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets for its processes


def in_world() -> bool:
    """Whether torchrun started this process."""
    return all(name in os.environ for name in ENVIRONMENT)


def rank() -> int:
    """This process's number among those that torchrun started."""
    return int(os.environ["RANK"])


def world() -> AbstractContextManager[Any]:
    """Join the processes that torchrun started."""
    from foldnet.training.processes import joined
    from foldnet_cli.views import complain

    return joined(int(os.environ["LOCAL_RANK"]), complain)


def launch(gpus: int) -> None:
    """Run this very command once a GPU, and end as it ends. Raises SettingError where there are not so many."""
    import torch

    from foldnet.errors import SettingError

    count = torch.cuda.device_count()
    if not 1 <= gpus <= count:
        raise SettingError(
            f"--gpus {gpus} is not what this machine has, which is {count}; give a number up to that, or train on "
            f"processors with `torchrun --nproc-per-node {max(gpus, 1)} -m foldnet_cli train --device cpu`"
        )
    start_processes(gpus, _without_gpus(sys.argv[1:]))


def start_processes(count: int, arguments: list[str]) -> None:
    """Run `foldnet` with these arguments in `count` processes of this machine, as torchrun would, until all have ended.

    Where one fails the others are ended. Raises typer.Exit with the code of one that said itself what is wrong, ProcessLost where
    one was killed, and KeyboardInterrupt where this process was told to end.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from foldnet.errors import ProcessLost

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what it has to say is said below
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // count, 1)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "foldnet_cli", *arguments)
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode > 0:
            raise typer.Exit(failure.exitcode) from None
        name = signal.Signals(-failure.exitcode).name
        raise ProcessLost(
            f"process {number} (pid {failure.pid}) was ended by {name}, and the others with it; "
            f"go on from the last checkpoint with --resume"
        ) from None


def _without_gpus(arguments: list[str]) -> list[str]:
    """The arguments without --gpus N or --gpus=N."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument != "--gpus" and not argument.startswith("--gpus="):
            kept.append(argument)
        skip = argument == "--gpus"
    return kept
