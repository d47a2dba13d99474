"""Densely connected and aggregated networks go the whole way through the command line, as wide residual ones do."""

import json
from pathlib import Path

import planted
import pytest

# By layer, what runs in the first stage: its own weight, or an owner.
DENSE_FLOW = [".0.conv1", ".a", ".1.conv1", ".a", ".transition.conv"]
OWNERS = ["-1x256x1x1.a", "-1x1x3x3.a", "-256x1x1x1.a"]
AGGREGATED_FLOW = [".0.conv1", ".0.conv2", ".0.conv3", *OWNERS, *OWNERS]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planted.use_few_digits(monkeypatch)


@pytest.mark.parametrize("arch", ["densenet-7-2", "sdensenetbc-16-2-1", "resnext-11-1x1"])
def test_they_train_and_are_known_again(cli, arch):
    options = ["--epochs", 1, "--validation", 60, "--device", "cpu", "--out", "runs/a"]
    trained = cli.done("train", "--arch", arch, *options)
    assert (trained["arch"], trained["epochs"], trained["test_images"]) == (arch, 1, 50)
    settings = json.loads(Path("runs/a/config.json").read_text())["settings"]
    assert (settings["schedule"], settings["batch_size"]) == ("tenths", 64)
    longer = cli.done("train", "--resume", "--epochs", 2, "--out", "runs/a")
    assert longer["epochs"] == 2
    assert cli.done("evaluate", "runs/a")["images"] == 50
    assert cli.done("info", "runs/a")["settings"]["arch"] == arch


@pytest.mark.parametrize(
    ("arch", "groups", "loops", "program", "flow"),
    [
        ("sdensenetbc-16-2-1", 3, 0, "stage1: {private;a} {private;a} private", DENSE_FLOW),
        ("sresnext-29-1x1-1", 9, 3, "stage1: private; 2x { A }", AGGREGATED_FLOW),
    ],
)
def test_they_fold_are_proven_drawn_and_measured(cli, arch, groups, loops, program, flow):
    planted.plant_run(Path("runs/a"), arch=arch, rows=[[1.0], [-2.0]])
    similar = cli.done("lsm", "runs/a")
    assert [group["max_off_diagonal"] for group in similar["groups"]] == [1.0] * groups
    folded = cli.done("fold", "runs/a", "--no-shares", "--out", "runs/a/fold")
    assert (folded["loops"], folded["reuses"]) == (loops, groups)
    assert folded["program"].splitlines()[0] == program
    assert cli.done("verify", "runs/a/fold")["passed"] is True
    assert cli.done("info", "runs/a/fold")["program"] == folded["program"]
    cli.done("render", "graph", "runs/a/fold", "-o", "a.json")
    edges = [edge for edge in json.loads(Path("a.json").read_text())["edges"] if edge["key"] == "flow"]
    walk = sorted((step, edge["target"]) for edge in edges for step in edge["order"])
    assert [node.removeprefix("stage1") for _, node in walk[1 : len(flow) + 1]] == flow
    measured = cli.done("bench", "inference", "runs/a/fold", "--batch-sizes", "2", "--repeats", 1, "--threads", 1)
    assert measured["results"]["looped"]["parameters"] == folded["parameters"]["folded"]
    assert (
        cli.done("bench", "train", "--arch", arch, "--batch-size", 2, "--steps", 1, "--compile", "off")["arch"] == arch
    )


def test_a_soft_network_that_has_nothing_to_share_is_refused(cli):
    said = (
        "architecture 'sdensenet-40-12-4' has no two layers of one shape that could share, since each layer of a dense "
        "block sees more channels than the one before; take densenetbc, whose 3x3 convolutions behind bottlenecks "
        "share; did you mean 'sdensenetbc-40-12-4'?"
    )
    assert cli.refused("train", "--arch", "sdensenet-40-12-4", "--validation", 60) == said
    assert cli.refused("info", "sdensenet-40-12-4") == said
