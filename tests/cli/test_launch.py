"""--gpus: what it refuses, and what it hands on."""

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
