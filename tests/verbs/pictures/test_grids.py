"""Figure 5's curves: runs that differ in their seed alone are one band, and the legend says what else differs."""

import json
from dataclasses import replace

import pytest

import foldnet
from foldnet.drawing.curves import f1_figure
from foldnet.errors import SettingError
from foldnet.training.runs import open_run
from foldnet.verbs.pictures.grids import names_of
from foldnet.verbs.render import render

TINY = {
    "dataset": "mazes",
    "size": 5,
    "arch": "cnn-2-4",
    "examples": 16,
    "test_examples": 8,
    "validation": 8,
    "epochs": 1,
    "device": "cpu",
    "precision": "fp32",
}
WAYS = {
    "a": {"seed": 0},
    "b": {"seed": 1},
    "rate": {"lr": 0.02},
    "larger": {"size": 7},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Four runs: two that differ in their seed alone, one of another learning rate, one of larger mazes."""
    folder = tmp_path_factory.mktemp("runs")
    for name, way in WAYS.items():
        foldnet.train(out=folder / name, **(TINY | way))
    return folder


@pytest.fixture
def drawn(monkeypatch, tmp_path, home):
    """What is drawn of some runs: (curves, title)."""
    found = []

    def figure(curves, borders, phases, title):
        found.append((curves, title))
        return f1_figure(curves, borders, phases, title)

    monkeypatch.setattr("foldnet.drawing.curves.f1_figure", figure)

    def draw(*names):
        render("paths", tuple(home / name for name in names), tmp_path / "a.svg", curves=True, force=True)
        return found[-1]

    return draw


def test_seeds_of_one_network_are_one_curve(drawn):
    curves, title = drawn("a", "b")
    assert {name: len(seeds) for name, seeds in curves.items()} == {"cnn-2-4": 2}
    assert title == "mazes of 5x5 cells"


def test_runs_of_other_settings_are_curves_of_their_own(drawn, home):
    curves, title = drawn(*WAYS)
    assert {name: len(seeds) for name, seeds in curves.items()} == {
        "cnn-2-4, size 5, lr 0.01": 2,
        "cnn-2-4, size 5, lr 0.02": 1,
        "cnn-2-4, size 7, lr 0.01": 1,
    }
    assert title == ""
    lines = [json.loads(line) for line in (home / "rate/metrics.jsonl").read_text().splitlines()]
    assert curves["cnn-2-4, size 5, lr 0.02"] == [[line["validation_accuracy"] for line in lines]]


def test_what_is_off_is_not_said(home):
    plain = replace(open_run(home / "a").settings, arch="scnn-2-4-2")
    assert names_of([plain, replace(plain, recurrence=0.5)]) == ["scnn-2-4-2", "scnn-2-4-2, recurrence 0.5"]
    assert names_of([plain]) == ["scnn-2-4-2"]


def test_an_unknown_picture_and_an_unknown_option_are_named(home):
    with pytest.raises(
        foldnet.FoldnetError, match=r"^there is no picture 'graf'; choose graph, .* or seeds; did you mean 'graph'\?$"
    ):
        render("graf")
    with pytest.raises(SettingError, match=r"^`residul` is no option of graph; did you mean 'residual'\?$"):
        render("graph", residul=True)
