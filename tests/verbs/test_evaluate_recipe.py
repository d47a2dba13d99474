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
from foldnet.data.images import load_digits
from foldnet.errors import RunError
from foldnet.folding.looped import LoopedNetwork
from foldnet.store.seals import sealed
from foldnet.store.tensors import load_tensors, save_tensors
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


def test_a_fold_finds_its_run_around_it_wherever_both_lie(cli, home):
    wanted = cli.done("evaluate", "runs/tied/fold-0.95")["right"]
    (home / "runs").rename(home / "moved")
    assert cli.done("evaluate", "moved/tied/fold-0.95")["right"] == wanted


def test_a_fold_that_lies_in_another_run_still_belongs_to_its_own(cli, home):
    shutil.copytree("runs/tied/fold-0.95", "runs/soft/foreign")
    drawn = ("render", "fold", "runs/soft/foreign", "--output", "fold.svg")
    said = (
        f"checkpoint 'last' of run '{home.resolve() / 'runs/soft'}' is not the one that was folded (its digest differs); "
        f"name the run that was with --run, or fold this one again"
    )
    assert cli.refused(*drawn) == said
    assert cli(*drawn, "--run", "runs/tied").out == "wrote fold.svg\n"


def test_a_run_that_was_trained_on_is_not_drawn_as_what_was_folded(cli, home):
    assert cli("fold", "runs/tied", "--no-evaluate", "--out", "runs/tied/mine").code == 0
    trained, own = load_tensors(home / "runs/soft/last" / FILE), load_tensors(home / "runs/tied/last" / FILE)
    (home / "runs/tied/last" / FILE).unlink()
    save_tensors(home / "runs/tied/last" / FILE, trained.tensors, own.metadata)
    where = (home / "runs/tied").resolve()
    said = (
        f"checkpoint 'last' of run '{where}' is not the one that was folded (its digest differs); "
        f"name the run that was with --run, or fold this one again"
    )
    assert cli.refused("render", "fold", "runs/tied/mine") == said


def test_a_fold_outside_of_its_run_still_loads_but_cannot_tell_its_data(cli, home):
    shutil.copytree("runs/tied/fold-0.95", "alone")
    assert isinstance(foldnet.load("alone"), LoopedNetwork)
    said = "fold 'alone' is not inside its run 'tied', which knows its data; name that run with --run"
    for command in (["evaluate"], ["render", "depth"], ["render", "fold"]):
        assert cli.refused(*command, "alone") == said
    wanted = cli.done("evaluate", "runs/tied/fold-0.95")["right"]
    assert cli.done("evaluate", "alone", "--run", "runs/tied")["right"] == wanted
    config = json.loads(Path("alone/config.json").read_text())
    config["run"] = str(home / "runs" / "tied")  # a path in a fold, which version 0.1 wrote, is not followed
    Path("alone/config.json").write_text(json.dumps(sealed(config)))
    assert cli.refused("evaluate", "alone") == said


def test_another_run_than_the_folds_is_refused(cli, home):
    said = (
        "--run runs/soft is not the run of 'runs/tied/fold-0.95' (the digest of its checkpoint 'last' differs); "
        "name the run 'tied' as it was when it was folded"
    )
    for command in (["evaluate"], ["render", "depth"], ["render", "fold"], ["bench", "inference"]):
        assert cli.refused(*command, "runs/tied/fold-0.95", "--run", "runs/soft") == said
    said = "--run is for folds and 'runs/tied' is a run; leave it out"
    assert cli.refused("evaluate", "runs/tied", "--run", "runs/tied") == said


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
    put(file, json.dumps(sealed(config | {"split_hash": "0" * 64})))
    said = (
        "the data are not those that run 'runs/soft' was trained on (their hash differs); "
        "give the original place with --data-dir"
    )
    assert cli.refused("evaluate", "runs/soft") == said
    assert cli.refused("fold", "runs/soft") == said


@pytest.mark.parametrize("path", ["nope", "runs"])
def test_what_is_no_run_is_not_loaded(shelf, path):
    said = {
        "nope": "'nope' is not a folder; give the folder of a run or fold, such as runs/NAME",
        "runs": "'runs' holds no config.json; it is not the folder of a run",
    }[path]
    with pytest.raises(RunError, match=exactly(said)):
        foldnet.load(path)


def test_a_damped_loop_is_scored_and_said(cli, shelf):
    fold = "runs/tied/fold-0.95"
    report = cli.done("evaluate", fold, "--steps", "stage3.loop1=6", "--damped")
    assert (report["damped"], report["steps"]) == (True, {"stage3.loop1": 6})
    plain = cli.done("evaluate", fold, "--steps", "stage3.loop1=6")
    assert not plain["damped"]
    assert plain["loss"] != report["loss"]
    shown = cli("evaluate", fold, "--steps", "stage3.loop1=6", "--damped")
    assert "damped by the trips found to those run" in shown.out
    assert cli.done("evaluate", fold, "--steps", "stage3.loop1=0")["steps"] == {"stage3.loop1": 0}
    as_found = cli.done("evaluate", fold, "--steps", "stage3.loop1=3", "--damped")
    assert as_found["loss"] == cli.done("evaluate", fold)["loss"]


def test_damping_without_steps_is_refused(cli, shelf):
    said = cli.refused("evaluate", "runs/tied/fold-0.95", "--damped")
    assert said == "--damped scales loops that run another number of times than found; give --steps too"
