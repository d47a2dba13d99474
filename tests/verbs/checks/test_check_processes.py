"""The check of processes: one that dies, that never ends, and weights that are others do not pass."""

import sys
from pathlib import Path

import pytest
import torch

from foldnet.errors import ProcessLost
from foldnet.store.tensors import save_tensors
from foldnet.training.machine import Machine
from foldnet.verbs.check import CHECKS, check
from foldnet.verbs.checks import processes as module
from foldnet.verbs.checks.parts import NotHere
from foldnet.verbs.checks.processes import check_processes, run_two, trained_weights

CPU = Machine(torch.device("cpu"), "fp32")
IF_SECOND = "import os, signal, sys, time; second = os.environ['RANK'] == '1'; "


def program(code):
    return [sys.executable, "-c", IF_SECOND + code]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "sys.exit('no memory' if second else 0)",
            "process 1 ended with exit code 1; the last that was said: no memory",
        ),
        ("sys.exit(3 if second else 0)", "process 1 ended with exit code 3; none of them said why"),
        (
            "os.kill(os.getpid(), signal.SIGKILL) if second else time.sleep(60)",
            "process 1 ended by signal 9; none of them said why",
        ),
    ],
)
def test_a_process_that_dies_is_named_and_ends_the_other(tmp_path, code, sentence):
    with pytest.raises(ProcessLost) as caught:
        run_two(program(code), tmp_path)
    assert str(caught.value) == sentence


def test_a_dead_process_is_the_failure_of_its_check_and_no_end_of_the_others(monkeypatch):
    monkeypatch.setattr(
        module, "COMMAND", program("os.kill(os.getpid(), signal.SIGKILL) if second else time.sleep(60)")
    )
    left_out = tuple(name for name in CHECKS if name not in ("processes", "cuda-graphs"))
    found = {entry.name: (entry.outcome, entry.why) for entry in check("cpu", skip=left_out).checks}
    assert found["processes"] == ("failed", "process 1 ended by signal 9; none of them said why")
    assert found["cuda-graphs"][0] == "not here"


def test_processes_that_do_not_end_are_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(ProcessLost) as caught:
        run_two(program("time.sleep(60)"), tmp_path)
    assert str(caught.value) == "2 processes did not end within 0 s; none of them said why"


def test_processes_are_told_who_they_are_and_where_to_meet(tmp_path):
    names = "'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'TORCHELASTIC_USE_AGENT_STORE'"
    code = f"open(f'{tmp_path}/{{second:d}}', 'w').write(' '.join(os.environ[name] for name in ({names})))"
    run_two(program(code), tmp_path)
    assert [(tmp_path / name).read_text() for name in "01"] == ["2 2 0 127.0.0.1 True", "2 2 1 127.0.0.1 True"]


@pytest.mark.parametrize(("factor", "held"), [(1.0, True), (1.01, False)])
def test_weights_that_are_others_fail(monkeypatch, factor, held):
    weights = {name: tensor * factor for name, tensor in trained_weights(CPU).items() if tensor.is_floating_point()}
    counts = {name: tensor for name, tensor in trained_weights(CPU).items() if name not in weights}

    def play(command, place):
        save_tensors(Path(command[-1]), weights | counts)

    monkeypatch.setattr(module, "run_two", play)
    (part,) = check_processes(CPU)
    assert (part.what, part.held) == ("2 processes (gloo) to one", held)


def test_two_processes_need_two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(NotHere) as caught:
        check_processes(Machine(torch.device("cuda"), "fp32"))
    assert str(caught.value) == "2 processes need 2 GPUs and this machine has 1"
