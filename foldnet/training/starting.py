"""Starting several processes of one world on this machine, as torchrun would, and waiting for them."""

import math
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from foldnet.hardware import cores

HERE = "127.0.0.1"
LOOK = 0.05  # seconds between two looks at the processes
GRACE = 30.0  # seconds in which a process that was told to end may save what it has


def run_together(
    command: Sequence[str], count: int, patience: float = math.inf, **streams: Any
) -> dict[int, int | None]:
    """Run a command in `count` processes of one world until all have ended, one has failed, or `patience` (seconds) is
    over. Gives process ids, by rank, with exit codes: None of one that was still running then, and was ended.

    `streams` are Popen's. They get Ctrl-C from here and not from the terminal; KeyboardInterrupt is raised once they
    have ended.
    """
    # The store lives here and takes any free port, so that there is none to be taken by another program in between.
    store = TCPStore(HERE, 0, is_master=True, wait_for_workers=False)
    world = {
        "MASTER_ADDR": HERE,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(cores() // count, 1))),
    }
    running: list[subprocess.Popen[bytes]] = []
    deadline = time.monotonic() + patience
    try:
        for rank in map(str, range(count)):
            own = os.environ | world | {"RANK": rank, "LOCAL_RANK": rank}
            running.append(subprocess.Popen(command, env=own, start_new_session=True, **streams))
        while None in (codes := [process.poll() for process in running]):
            if any(codes) or time.monotonic() > deadline:
                break
            time.sleep(LOOK)
    except KeyboardInterrupt:
        _end(running, signal.SIGINT)
        raise
    finally:
        _end(running, signal.SIGTERM)
    return {process.pid: code for process, code in zip(running, codes, strict=True)}


def _end(running: Sequence[subprocess.Popen[bytes]], how: signal.Signals) -> None:
    """Tell processes to end, and kill those that do not in time."""
    for process in running:
        process.send_signal(how)
    deadline = time.monotonic() + GRACE
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
