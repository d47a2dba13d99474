"""--gpus: what it refuses, and what it hands on."""

import socket

import pytest
import torch

from foldnet_cli import launch

NO_GPU = (
    "--gpus 2 needs GPUs and this machine has none; leave it out, or train in several processes with "
    "`torchrun --nproc-per-node 2 -m foldnet_cli train --device cpu`"
)


@pytest.fixture
def gpus(monkeypatch):
    """Make torch see so many GPUs."""

    def see(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return see


@pytest.mark.parametrize(
    ("count", "options", "sentence"),
    [
        (0, ["--gpus", "2"], NO_GPU),
        (0, ["--gpus", "1"], NO_GPU.replace("--gpus 2", "--gpus 1").replace("node 2", "node 1")),
        (2, ["--gpus", "3"], "--gpus 3 is more than the 2 of this machine; give at most 2"),
        (2, ["--gpus", "0"], "--gpus 0 is not legal; give a whole number of at least 1"),
        (
            2,
            ["--gpus", "2", "--device", "cpu"],
            "--gpus 2 and --device cpu contradict each other; leave one of them out",
        ),
    ],
)
def test_gpus_that_are_not_there_are_refused(cli, tmp_path, monkeypatch, gpus, count, options, sentence):
    monkeypatch.chdir(tmp_path)
    gpus(count)
    assert cli.refused("train", *options) == sentence


def test_under_torchrun_gpus_has_no_meaning(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in launch.ENVIRONMENT:
        monkeypatch.setenv(name, "0")
    said = "--gpus 2 has no meaning in a process that torchrun started; leave it out"
    assert cli.refused("train", "--gpus", "2") == said


@pytest.mark.parametrize("given", [["--gpus", "2"], ["--gpus=2"]])
def test_each_process_gets_the_command_as_it_was_given(monkeypatch, gpus, given):
    gpus(2)
    started = []
    monkeypatch.setattr(launch, "start_processes", lambda count, arguments: started.append((count, arguments)))
    monkeypatch.setattr("sys.argv", ["foldnet", "train", "--seed", "3", *given, "--json"])
    launch.check_gpus(2, None)
    launch.launch(2)
    assert started == [(2, ["train", "--seed", "3", "--json"])]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RANK", "2", "RANK=2 in the environment is not legal; give a whole number from 0 to 1"),
        ("RANK", "-1", "RANK=-1 in the environment is not legal; give a whole number from 0 to 1"),
        ("RANK", "first", "RANK=first in the environment is not legal; give a whole number from 0 to 1"),
        ("WORLD_SIZE", "0", "WORLD_SIZE=0 in the environment is not legal; give a whole number from 1 to 100000"),
        ("LOCAL_RANK", "2", "LOCAL_RANK=2 in the environment is not legal; give a whole number from 0 to 1"),
        (
            "MASTER_PORT",
            "65536",
            "MASTER_PORT=65536 in the environment is not legal; give a whole number from 1 to 65535",
        ),
        (
            "LOCAL_WORLD_SIZE",
            "x",
            "LOCAL_WORLD_SIZE=x in the environment is not legal; give a whole number from 1 to 2",
        ),
    ],
)
def test_an_environment_that_contradicts_itself_is_refused(cli, tmp_path, monkeypatch, name, value, said):
    monkeypatch.chdir(tmp_path)
    sound = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for variable, text in (sound | {name: value}).items():
        monkeypatch.setenv(variable, text)
    assert cli.refused("train") == f"{said}, or unset {name} to train in one process"


def test_a_rank_alone_makes_no_process_of_several(monkeypatch):
    """Other programs set RANK too."""
    for name in launch.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "3")
    assert launch.rank() is None


def test_a_port_in_use_is_refused(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        world = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for variable, text in world.items():
            monkeypatch.setenv(variable, text)
        said = (
            f"the processes cannot meet at '127.0.0.1:{port}', which another program uses; choose another MASTER_PORT"
        )
        assert cli.refused("train") == said
