"""foldnet evaluate: how good a run or a fold is."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import foldnet
from foldnet.data.digits import load_digits
from foldnet.errors import RunError
from foldnet.folding.looped import LoopedNetwork
from foldnet.training.checkpoint import FILE

FIELDS = {"accuracy", "parameters", "images_per_second", "right", "images", "loss", "form"}


def exactly(sentence):
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize(
    ("path", "form"), [("runs/soft", "soft"), ("runs/plain", "plain"), ("runs/tied/fold-0.95", "looped")]
)
def test_every_form_is_scored_on_the_test_set(cli, shelf, path, form):
    report = cli.done("evaluate", path)
    assert report.keys() >= FIELDS
    assert (report["form"], report["precision"], report["images"]) == (form, "fp32", 360)
    model = foldnet.load(path)
    assert not model.training
    assert report["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert report["accuracy"] == report["right"] / 360
    assert report["images_per_second"] > 0


def test_the_accuracy_of_a_training_is_read_again_to_the_last_image(cli, shelf):
    for name in ("soft", "plain"):
        trained = json.loads((shelf / "runs" / name / "report.json").read_text())
        assert cli.done("evaluate", f"runs/{name}")["right"] == trained["test_right"]


def test_the_size_of_a_batch_changes_nothing(cli, shelf):
    wanted = cli.done("evaluate", "runs/soft")
    for size in (1000, 7):
        report = cli.done("evaluate", "runs/soft", "--batch-size", size)
        assert report["right"] == wanted["right"]
        assert report["loss"] == pytest.approx(wanted["loss"], rel=1e-5)


def test_a_path_left_out_is_the_newest_run(cli, shelf):
    assert cli.done("evaluate")["path"] == "runs/tied"


def test_the_other_checkpoint(cli, shelf):
    best = foldnet.load("runs/soft", checkpoint="best")
    assert cli.done("evaluate", "runs/soft", "--checkpoint", "best")["accuracy"] > 0
    assert set(best.state_dict()) == set(foldnet.load("runs/soft").state_dict())


def test_a_fold_has_no_checkpoints(cli, shelf):
    said = "--checkpoint best is for runs and 'runs/tied/fold-0.95' is a fold; leave it out"
    assert cli.refused("evaluate", "runs/tied/fold-0.95", "--checkpoint", "best") == said


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "--device gpu is not a device; write cpu, cuda or cuda:0"),
        ("meta", "--device meta is not a device; write cpu, cuda or cuda:0"),
    ],
)
def test_a_device_that_is_none(cli, shelf, device, said):
    assert cli.refused("evaluate", "runs/soft", "--device", device) == said


def test_a_fold_evaluates_the_same_in_a_process_of_its_own(cli, shelf):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "foldnet_cli", "evaluate", "runs/tied/fold-0.95", "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    report, here = json.loads(done.stdout), cli.done("evaluate", "runs/tied/fold-0.95")
    assert (report["right"], report["parameters"]) == (here["right"], here["parameters"])
    assert report["loss"] == pytest.approx(here["loss"], rel=1e-6)


def test_a_fold_finds_its_run_around_it_or_where_it_was_made(cli, home):
    wanted = cli.done("evaluate", "runs/tied/fold-0.95")["right"]
    shutil.copytree("runs/tied/fold-0.95", "elsewhere")  # its run is still where it was made
    assert cli.done("evaluate", "elsewhere")["right"] == wanted
    (home / "runs").rename(home / "moved")
    assert cli.done("evaluate", "moved/tied/fold-0.95")["right"] == wanted


def test_a_fold_that_lies_in_another_run_still_belongs_to_its_own(cli, home):
    shutil.copytree("runs/tied/fold-0.95", "runs/soft/foreign")
    assert cli.done("verify", "runs/soft/foreign", "--images", "8")["notes"] == []
    assert cli("render", "fold", "runs/soft/foreign", "--output", "fold.svg").out == "wrote fold.svg\n"


def test_a_run_that_was_trained_on_is_not_drawn_as_what_was_folded(cli, home, put):
    assert cli("fold", "runs/tied", "--no-evaluate", "--out", "runs/tied/mine").code == 0
    file = Path("last") / FILE
    put(home / "runs/tied" / file, (home / "runs/soft" / file).read_bytes())
    where = (home / "runs/tied").resolve()
    said = f"checkpoint 'last' of run '{where}' is not the one that was folded (its digest differs); fold the run again"
    assert cli.refused("render", "fold", "runs/tied/mine") == said


def test_a_fold_whose_run_is_gone_still_loads_but_cannot_tell_its_data(cli, home):
    assert cli("fold", "runs/tied", "--no-evaluate", "--out", "alone").code == 0
    run = (home / "runs" / "tied").resolve()
    (home / "runs").rename(home / "moved")
    said = f"fold 'alone' was made from run '{run}', which is gone; its data can't be told without config.json"
    assert cli.refused("evaluate", "alone") == said
    assert isinstance(foldnet.load("alone"), LoopedNetwork)


def test_what_is_loaded_classifies_images(shelf):
    dataset = load_digits()
    images = torch.randn(5, dataset.channels, dataset.size, dataset.size)
    for path in ("runs/soft", "runs/plain", "runs/tied/fold-0.95"):
        logits = foldnet.load(path)(images)
        assert logits.shape == (5, len(dataset.classes))
        assert torch.isfinite(logits).all()


def test_changed_data_are_refused(cli, home, put):
    file = home / "runs" / "soft" / "config.json"
    config = json.loads(file.read_text())
    put(file, json.dumps(config | {"split_hash": "0" * 64}))
    said = (
        "the data are not those that run 'runs/soft' was trained on (their hash differs); "
        "give the original place with --data-dir"
    )
    assert cli.refused("evaluate", "runs/soft") == said
    assert cli.refused("fold", "runs/soft") == said


@pytest.mark.parametrize("path", ["nope", "runs"])
def test_what_is_no_run_is_not_loaded(shelf, path):
    said = {
        "nope": "'nope' is not a folder; give the folder of a run, such as runs/NAME",
        "runs": "'runs' holds no config.json; it is not the folder of a run",
    }[path]
    with pytest.raises(RunError, match=exactly(said)):
        foldnet.load(path)
