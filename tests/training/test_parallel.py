"""Real processes over gloo: what they train together is what one trains alone, and none waits for a dead one."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from forked import forked
from torch import nn

from foldnet.errors import FoldnetError, SettingError
from foldnet.store.tensors import load_tensors
from foldnet.training import machine
from foldnet.training.checkpoint import read_metrics
from foldnet.training.learner import Learner, build_optimiser
from foldnet.training.loop import NOTHING, SAVE, STOP, Agreement, Steps
from foldnet.training.machine import ALONE, Machine, World, choose_machine, seeded
from foldnet.training.observer import Silent, Stopped
from foldnet.training.parallel import SyncedBatchNorm, synchronise_norms
from foldnet.training.processes import joined
from foldnet.training.runs import open_run
from foldnet.verbs.evaluate import evaluate
from foldnet.verbs.train import train

PATIENCE = 240
# Few steps: those of a young network make a difference in the last digit a hundred times larger in each ten. Batches of 215 of
# the 1,077 digits: the last has 2 images, which is one process too few for three.
SETTINGS = {
    "arch": "swrn-22-1-2",
    "epochs": 1,
    "batch_size": 215,
    "lr": 0.005,
    "precision": "fp32",
    "device": "cpu",
    "seed": 4,
    "sync_bn": True,
}
LAUNCHER = """
import typer
from foldnet_cli.guard import add_command
from foldnet_cli.launch import start_processes

OPTIONS = "train --arch swrn-16-1-2 --epochs 2000 --precision fp32 --device cpu --out run"
app = typer.Typer(pretty_exceptions_enable=False)

def start() -> None:
    start_processes(2, OPTIONS.split())

add_command(app, start)
app()
"""


class Stopping(Silent):
    """Asks for the end after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, steps: int = 1) -> None:
        self.left -= steps

    def wants_stop(self) -> bool:
        return self.left <= 0


def train_together(rank: int, place: Path, surroundings: dict[str, str], settings: dict, stop_at: int) -> None:
    """What one of the processes does: it trains with the others, and what it says is in a file."""
    torch.set_num_threads(1)
    os.chdir(place)
    os.dup2(os.open(f"said{rank}", os.O_WRONLY | os.O_CREAT), 2)
    os.environ |= surroundings | {"RANK": str(rank)}
    observer = Stopping(stop_at) if stop_at and rank == 1 else Silent()  # only one process is asked
    try:
        with joined(rank, 1, partial(print, file=sys.stderr)) as world:
            train(world=world, observer=observer, **settings)
    except (Stopped, FoldnetError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def run_together(count: int, place: Path, *, stop_at: int = 0, **settings) -> tuple[int, str]:
    """Train in `count` processes, of which the second asks for the end after so many steps: how many did not end well, and what
    all said."""
    with socket.socket() as meeting:
        meeting.bind(("localhost", 0))
        port = meeting.getsockname()[1]
    surroundings = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    arguments = place, surroundings, SETTINGS | settings, stop_at
    processes = [forked(train_together, rank, *arguments) for rank in range(count)]
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        process.join(deadline - time.monotonic())
        process.kill()
        process.join()
    files = [place / f"said{rank}" for rank in range(count)]
    said = "".join(file.read_text() for file in files)
    for file in files:
        file.unlink()
    return sum(process.exitcode != 0 for process in processes), said


def alone(place: Path, monkeypatch, **settings) -> Path:
    monkeypatch.chdir(place)
    train(out="alone", **SETTINGS | settings)
    return place / "alone"


def weights(run: Path) -> torch.Tensor:
    """All parameters of a run's last checkpoint, and its norms' statistics, one after the other."""
    tensors = load_tensors(run / "last/checkpoint.safetensors", "model").tensors
    return torch.cat([tensor.double().flatten() for _, tensor in sorted(tensors.items())])


def apart(one: Path, two: Path) -> float:
    """How far two runs are apart, against the way that the first has come."""
    with seeded(SETTINGS["seed"], torch.device("cpu")):
        start = open_run(one).blueprint.build().state_dict()
    before = torch.cat([tensor.double().flatten() for _, tensor in sorted(start.items())])
    return float((weights(one) - weights(two)).norm() / (weights(one) - before).norm())


def assert_close_runs(one: Path, two: Path) -> None:
    """The same up to the order in which floating-point numbers are added up."""
    assert 0 < apart(one, two) < 1e-3
    for line, other in zip(read_metrics(one), read_metrics(two), strict=True):
        assert line["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert line["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-4)
        assert line["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=1.5 / 1077)


@pytest.mark.parametrize(("count", "batch_size", "recurrence"), [(3, 215, 0.0), (2, 538, 0.5)])
def test_with_synchronised_norms_the_number_of_processes_does_not_matter(
    tmp_path, monkeypatch, count, batch_size, recurrence
):
    settings = {"batch_size": batch_size, "recurrence": recurrence}
    assert run_together(count, tmp_path, out="together", **settings) == (0, "")
    whole = alone(tmp_path, monkeypatch, **settings)
    assert_close_runs(whole, tmp_path / "together")
    # One process writes: the folder is that of a run like any other.
    files = [sorted(path.name for path in folder.rglob("*")) for folder in (whole, tmp_path / "together")]
    assert files[0] == files[1]


def test_a_run_that_one_process_was_asked_to_stop_goes_on_in_another_number_of_them(tmp_path, monkeypatch):
    settings = {"batch_size": 60, "recurrence": 0.0, "lr": 0.001}
    ended, said = run_together(2, tmp_path, out="run", stop_at=3, **settings)
    assert ended == 2
    assert (
        said.count("after step 4 of epoch 1, all of it saved; go on with `foldnet.train(resume=True, out='run')`") == 2
    )
    assert not (tmp_path / "run/report.json").exists()
    assert run_together(3, tmp_path, out="run", resume=True, **settings) == (0, "")
    assert_close_runs(alone(tmp_path, monkeypatch, **settings), tmp_path / "run")


def test_without_synchronised_norms_only_their_statistics_differ(tmp_path, monkeypatch):
    settings = {"sync_bn": False, "recurrence": 0.0, "validation": 0}
    assert run_together(3, tmp_path, out="run", **settings) == (0, "")
    whole = alone(tmp_path, monkeypatch, **settings)
    assert weights(tmp_path / "run").isfinite().all()
    assert 1e-3 < apart(whole, tmp_path / "run") < 1
    assert read_metrics(tmp_path / "run")[0]["train_loss"] == pytest.approx(
        read_metrics(whole)[0]["train_loss"], rel=0.1
    )
    # What is reported is what is saved: the statistics of process 0, in every process.
    found = json.loads((tmp_path / "run/report.json").read_text())
    assert evaluate(tmp_path / "run").right == found["test_right"]


def test_what_the_first_process_refuses_is_said_once(tmp_path):
    ended, said = run_together(2, tmp_path, out="run", arch="swrn-27-1-2")
    assert ended == 2
    assert said.count("architecture 'swrn-27-1-2'") == 1
    assert said.count("process 0 could not begin; it says why") == 1
    assert list(tmp_path.iterdir()) == []


def test_torchrun_starts_the_command_line(tmp_path):
    options = "train --arch wrn-10-1 --epochs 1 --batch-size 500 --precision fp32 --device cpu --out run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "foldnet_cli", *options.split()],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run              run\n") == 1
    assert done.stderr.count("epoch   1  ") == 1
    assert json.loads((tmp_path / "run/report.json").read_text())["test_images"] == 360


def launched(place: Path) -> subprocess.Popen:
    """A long training that two processes share, whose first epoch is over."""
    (place / "launcher.py").write_text(LAUNCHER)
    process = subprocess.Popen(
        [sys.executable, "launcher.py"],
        cwd=place,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not (place / "run/metrics.jsonl").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_a_dead_process_ends_the_others_with_its_name(tmp_path):
    with launched(tmp_path) as process:
        pids = workers(process.pid)
        assert sorted(pids) == [0, 1]
        os.kill(pids[1], signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    name = f"process 1 (pid {pids[1]}"
    assert said.splitlines()[-1] == (
        f"Error: {name}) was ended by SIGKILL, and the others with it; go on from the last checkpoint with --resume"
    )
    assert f"Error: {name} on '" in said
    assert "Traceback" not in said
    assert "frame #" not in said
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids.values())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_saves_what_the_processes_did(tmp_path, how):
    """Ctrl-C, or the SIGTERM that ends a job on a cluster."""
    with launched(tmp_path) as process:
        pids = workers(process.pid)
        process.send_signal(how)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    lines = [line for line in said.splitlines() if not line.startswith("epoch ")]
    assert lines[0] == "saving after this step, then stopping; Ctrl-C again stops at once"
    assert lines[1].startswith("stopped after ")
    assert len(lines) == 2
    assert (tmp_path / "run/last/checkpoint.safetensors").is_file()
    assert not (tmp_path / "run/lock.json").exists()
    assert sorted(pids) == [0, 1]
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids.values())


def workers(parent: int) -> dict[int, int]:
    """Process ids by rank of what a launcher started."""
    found = {}
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        surroundings = dict(
            entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
        )
        if "RANK" in surroundings:
            found[int(surroundings["RANK"])] = int(pid)
    return found


@pytest.fixture
def gloo(tmp_path):
    """A group of one process, in which collectives are real and change nothing."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 3, 3), (0, 5, 3, 3)])
@pytest.mark.parametrize("affine", [True, False])
def test_a_synchronised_norm_is_torchs_own_where_one_process_has_the_whole_batch(gloo, shape, affine):
    torch.manual_seed(0)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    plain = kind(5, affine=affine, momentum=0.3)
    if affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    model = nn.Sequential(kind(5, affine=affine, momentum=0.3))
    model[0].load_state_dict(plain.state_dict())
    synced = synchronise_norms(model, Machine(torch.device("cpu"), "fp32"))[0]
    assert isinstance(synced, SyncedBatchNorm)
    x, y = (torch.randn(shape, requires_grad=True) for _ in range(2))
    with torch.no_grad():
        y.copy_(x)
    if shape[0] == 0:
        out = synced(y)
        out.sum().backward()
        assert out.shape == y.grad.shape == shape
        return
    weights = torch.randn(shape)
    (plain(x) * weights).sum().backward()
    (synced(y) * weights).sum().backward()
    torch.testing.assert_close(synced(y), plain(x))
    torch.testing.assert_close(y.grad, x.grad, rtol=1e-4, atol=1e-5)
    for one, two in zip(synced.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)
    for one, two in zip(synced.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(synced.eval()(y), plain.eval()(x))


def test_alone_there_are_no_collectives():
    model, x, y = nn.Linear(2, 2), torch.randn(3, 2), torch.tensor([0, 1, 1])
    optimiser = build_optimiser(model, lr=0.0, momentum=0.0, weight_decay=0.0)
    step = Steps(Learner(model=model, optimiser=optimiser, machine=Machine(torch.device("cpu"), "fp32")), 3)
    assert torch.equal(step(x, y)[1], model(x))
    assert step(x[:0], y[:0])[1].shape == (0, 2)
    tensor = torch.ones(2)
    ALONE.add_up(tensor)
    ALONE.copy_buffers(nn.BatchNorm1d(2))
    ALONE.tell("anything", None)
    assert tensor.tolist() == [1, 1]
    assert (ALONE.alone, ALONE.writes) == (True, True)


def test_last_words_are_waited_for_until_they_are_heard_or_for_a_while(monkeypatch):
    """Process 0 keeps the store: where it ended at once, a busy process heard nothing of why."""
    store, heard = dist.HashStore(), []
    speaker, listener = (World(rank, 2, store=store) for rank in range(2))

    def listen():
        time.sleep(0.5)
        heard.append(listener.hear("run"))

    thread = threading.Thread(target=listen)
    thread.start()
    speaker.tell_before_leaving("run", {"folder": None})
    assert store.add("heard/run", 0) == 1
    thread.join()
    assert heard == [{"folder": None}]
    monkeypatch.setattr(machine, "LISTENING", 0.1)
    speaker.tell_before_leaving("other", 1)  # to nobody, who hears it later
    assert listener.hear("other") == 1
    ALONE.tell_before_leaving("anything", None)


def test_alone_what_is_wanted_is_done_at_once():
    agreement = Agreement(ALONE)
    assert [agreement.after_step(wanted) for wanted in (NOTHING, SAVE, STOP)] == [NOTHING, SAVE, STOP]
    assert agreement.close() == NOTHING


def test_together_what_is_wanted_is_done_a_step_later(gloo):
    agreement = Agreement(World(0, 2))
    done = [agreement.after_step(STOP if step == 3 else NOTHING) for step in range(1, 10)]
    assert done == [STOP if step == 4 else NOTHING for step in range(1, 10)]
    agreement.close()


@pytest.mark.parametrize(
    ("device", "local", "sentence"),
    [
        ("cuda:1", 1, "`device='cuda:1'` names one GPU for 2 processes; write cuda"),
        (
            "cuda",
            5,
            "`device='cuda'` is not there for process 5 of this machine: this machine has 2 CUDA devices; write `device='cpu'`",
        ),
    ],
)
def test_each_process_takes_a_gpu_of_its_own(monkeypatch, device, local, sentence):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_machine("cuda", "fp32", World(1, 2, 1)).device == torch.device("cuda:1")
    with pytest.raises(SettingError) as caught:
        choose_machine(device, "fp32", World(1, 2, local))
    assert str(caught.value) == sentence
