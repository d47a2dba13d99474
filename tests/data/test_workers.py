"""Batches made ahead by worker processes: the same, in order, with errors that are sentences."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from foldnet.data import batches as module
from foldnet.data.batches import in_workers, workers_beside
from foldnet.errors import DataError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def squares(rows):
    """What is read: the rows themselves, slower the smaller they are, so that workers overtake each other."""
    time.sleep(0.02 if 0 in rows else 0)
    return torch.tensor(rows, dtype=torch.float32) ** 2


def failing(rows):
    if 5 in rows:
        raise DataError("'5.png' can't be read")
    return squares(rows)


def dying(rows):
    os.kill(os.getpid(), signal.SIGKILL)


def interrupted(rows):
    """A Ctrl-C reaches every process of a terminal."""
    os.kill(os.getpid(), signal.SIGINT)
    return squares(rows)


def batches(*sizes: int) -> list[torch.Tensor]:
    return list(torch.split(torch.arange(sum(sizes)), list(sizes)))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order_and_random_states_stay(workers):
    random = torch.get_rng_state()
    found = list(in_workers(squares, batches(3, 0, 4, 1, 2), workers=workers))
    assert [len(each) for each in found] == [3, 0, 4, 1, 2]
    assert torch.cat(found).tolist() == [float(n**2) for n in range(10)]
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_its_sentence_and_comes_in_its_turn(workers):
    found = in_workers(failing, batches(3, 3, 3), workers=workers)
    assert next(found).tolist() == [0, 1, 4]
    with pytest.raises(DataError, match=r"^'5\.png' can't be read$"):
        next(found)


def test_a_worker_that_dies_is_said_in_a_sentence():
    with pytest.raises(DataError) as caught:
        next(in_workers(dying, batches(2, 2), workers=1))
    assert re.fullmatch(
        r"a process that reads pictures died \(DataLoader worker \(pid\(?s?\)? .*\); "
        r"give the machine more memory or lower `batch_size`",
        str(caught.value),
    ), str(caught.value)


def test_workers_leave_ctrl_c_to_the_training():
    assert torch.cat(list(in_workers(interrupted, batches(2, 2), workers=1))).tolist() == [0, 1, 4, 9]


def test_nothing_is_left_of_a_walk_that_is_given_up():
    before, earlier = set(threading.enumerate()), set(module.torch.multiprocessing.active_children())
    found = in_workers(squares, batches(*[1] * 50), workers=2)
    next(found)
    children = (
        set(module.torch.multiprocessing.active_children()) - earlier
    )  # those of another test may not be gone yet
    assert len(children) == 2
    found.close()
    for child in children:
        child.join(10)
    assert not any(child.is_alive() for child in children)
    left = set(threading.enumerate()) - before
    for thread in left:  # those that feed the queues end by themselves, a moment after the children
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


@pytest.mark.parametrize(
    ("cores", "device", "processes", "expected"),
    [(2, CPU, 1, 1), (1, CUDA, 1, 1), (16, CPU, 1, 4), (16, CUDA, 1, 8), (16, CUDA, 4, 3), (64, CPU, 1, 8)],
)
def test_workers_leave_training_its_due(monkeypatch, cores, device, processes, expected):
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert workers_beside(device, processes) == expected


def test_a_signal_to_the_whole_group_reaches_no_worker():
    """A cluster's SIGTERM: the process that trains saves and ends, for which it may want another batch."""
    code = (
        "import os, signal, torch\n"
        "from foldnet.data.batches import in_workers\n"
        "def read(rows):\n"
        "    if 2 in rows: os.killpg(os.getsid(0), signal.SIGTERM)\n"
        "    return torch.tensor(rows)\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))\n"
        "parts = in_workers(read, [torch.tensor([row]) for row in range(6)], workers=2)\n"
        "print(torch.cat(list(parts)).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "told\n[0, 1, 2, 3, 4, 5]\n"), done.stderr
