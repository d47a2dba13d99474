"""Commands on a page: they make the same again."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from foldnet.show.report import Table, Text
from foldnet.store.seals import sealed
from foldnet.studies.trial import Trial
from foldnet.training.runs import open_run
from foldnet.training.settings import flat, train_settings
from foldnet.verbs.pages.commands import as_options, fold_command, train_command, trial_command
from foldnet.verbs.report import report


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "--dataset digits --arch swrn-28-2-4 --precision fp32"),
        (
            {"arch": "swrn-16-1-2", "recurrence": 0.25, "sync_bn": True, "seed": 3},
            "--dataset digits --arch swrn-16-1-2 --seed 3 --precision fp32 --recurrence 0.25 --sync-bn",
        ),
        (
            {"dataset": "paths", "grid": 8, "windows": (3, 5), "epochs": 4, "arch": "scnn-5-8-2"},
            "--dataset paths --grid 8 --windows 3,5 --arch scnn-5-8-2 --epochs 4 --precision fp32",
        ),
        (
            {"arch": "torchvision/resnet18", "arch_option": {"zero_init_residual": True}, "templates": 2},
            "--dataset digits --arch torchvision/resnet18 --templates 2 "
            "--arch-option zero_init_residual=true --precision fp32",
        ),
    ],
)
def test_the_command_that_trains_the_same_has_the_same_settings(cli, shelf, monkeypatch, given, said):
    settings = train_settings(given)
    run = replace(open_run(shelf / "runs" / "tied"), settings=settings)
    command, why = train_command(run)
    assert (command, why) == (f"foldnet train {said}", "")
    found = {}
    monkeypatch.setattr("foldnet.verbs.train.train", lambda **options: found.update(options))
    assert cli(*shlex.split(command)[1:]).code == 0
    own = {name: value for name, value in found.items() if name in {"dataset", *flat(settings)}}
    assert train_settings(own) == replace(settings, precision="fp32")


def test_a_trial_of_a_study_trains_by_a_command_too(cli, monkeypatch):
    trial = Trial(train_settings({"arch": "swrn-16-1-2", "epochs": 200, "recurrence": 0.0, "seed": 1}), (), "x")
    command = trial_command(json.loads(json.dumps(trial.chosen)))
    found = {}
    monkeypatch.setattr("foldnet.verbs.train.train", lambda **options: found.update(options))
    assert cli(*shlex.split(command)[1:]).code == 0
    own = {name: value for name, value in found.items() if name in {"dataset", *flat(trial.settings)}}
    assert train_settings(own) == trial.settings
    assert trial_command(trial.chosen | {"code": "0" * 64}) == trial_command({"dataset": "none", "arch": "x"}) == ""


def test_where_no_one_command_trains_the_same_the_page_says_why(home, put):
    run = open_run(home / "runs" / "tied")
    assert train_command(replace(run, lengthened=((1, 2),))) == ("", "was made longer as it went on")
    faster = replace(run, settings=replace(run.settings, momentum=0.5))
    assert train_command(faster) == ("", "has momentum 0.5, for which there is no option")
    file = run.folder / "config.json"
    put(file, json.dumps(sealed(json.loads(file.read_text()) | {"from": {"run": "x"}})))
    report("runs/tied", "page.html")
    assert (
        "No one command trains the same: the run began with another run&#x27;s weights."
        in Path("page.html").read_text()
    )


def test_settings_are_said_as_options():
    text = Text("at `threshold=0.887` or `threshold='chance'`, not `a`", "note")
    assert as_options(text) == Text("at --threshold 0.887 or --threshold chance, not `a`", "note")
    table = Table("", ("`a=1`",), ())
    assert as_options(table) is table


def test_the_command_that_folds_the_same_is_there(home, put):
    folder = home / "runs" / "tied" / "fold-0.95"
    assert fold_command(folder, "runs/a b") == "foldnet fold 'runs/a b' --no-shares"
    config = json.loads((folder / "config.json").read_text())
    own = {"threshold": 0.5, "thresholds": [["stage2", 0.9]], "groups": ["stage2"], "keep": ["a", "b"], "tie": "mean"}
    put(folder / "config.json", json.dumps(config | {"settings": config["settings"] | own}))
    assert fold_command(folder, "r") == (
        "foldnet fold r --threshold 0.5 --threshold stage2=0.9 --groups stage2 --keep a --keep b --no-shares --tie mean"
    )
    put(folder / "config.json", json.dumps(config | {"settings": {"clusters": "mine.json"}}))
    assert fold_command(folder, "r") == ""
