"""Shortest paths from training to the picture of how far a network reaches."""

import json
import re
import shutil

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from svg_pictures import assert_whole

import foldnet
from foldnet.data.rules import MazeRule, PathRule, draw_grids
from foldnet.errors import SettingError
from foldnet.folding.looped import LoopedNetwork
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run
from foldnet.training.session import split_of_run
from foldnet.training.settings import train_settings
from foldnet.verbs.train import read_report

TINY = {
    "dataset": "paths",
    "grid": 8,
    "windows": (3, 5),
    "examples": 96,
    "epochs": 4,
    "validation": 40,
    "test_examples": 50,
    "precision": "fp32",
    "device": "cpu",
}
OPTIONS = ["--dataset", "paths", "--grid", 8, "--windows", "3,5", "--examples", 32, "--epochs", 2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """runs/soft, whose steps are alike by regulariser, with its fold; runs/one of one template with recall; runs/plain; runs/maze."""
    home = tmp_path_factory.mktemp("paths")
    runs = {
        "soft": TINY | {"arch": "scnn-5-8-2", "recurrence": 1.0},
        "one": TINY | {"arch": "scnn-4-8-1-recall", "progressive": 0.5, "seed": 1},
        "plain": TINY | {"arch": "cnn-4-8"},
        "maze": {**TINY, "dataset": "mazes", "size": 5, "arch": "scnn-4-8-1", "grid": None, "windows": None},
    }
    for name, settings in runs.items():
        foldnet.train(out=home / "runs" / name, **settings)
    foldnet.fold(home / "runs" / "soft", out=home / "runs" / "soft" / "fold", threshold=0.5, shares=False)
    foldnet.fold(home / "runs" / "one", out=home / "runs" / "one" / "fold", shares=False)
    return home


@pytest.fixture
def shelf(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def slow_f1(model, drawn):
    """(scikit-learn's F1 of all cells, grids wholly right)."""
    with torch.no_grad():
        marked = (model(torch.from_numpy(drawn.inputs()).float()) > 0).numpy()
    whole = int((marked == drawn.target).all((1, 2)).sum())
    return f1_score(drawn.target.ravel(), marked.ravel()), whole


def test_a_training_goes_through_the_phases_and_says_f1(shelf):
    lines = [json.loads(line) for line in (shelf / "runs/soft/metrics.jsonl").read_text().splitlines()]
    report = json.loads((shelf / "runs/soft/report.json").read_text())
    assert len(lines) == 4
    assert report["measure"] == "F1"
    best = max(lines[2:], key=lambda line: line["validation_accuracy"])  # of the last phase alone
    assert report["best_validation_accuracy"] == best["validation_accuracy"]
    assert report["best_epoch"] == best["epoch"]
    test = draw_grids(50, PathRule(8, 5), seed=0, phase=1, split="test")
    f1, whole = slow_f1(foldnet.load("runs/soft"), test)
    assert report["test_accuracy"] == pytest.approx(f1)
    assert (report["test_right"], report["test_images"]) == (whole, 50)
    held = draw_grids(40, PathRule(8, 5), seed=0, phase=1, split="validation")
    assert lines[-1]["validation_accuracy"] == pytest.approx(slow_f1(foldnet.load("runs/soft"), held)[0])


def test_each_phase_is_judged_on_its_own_held_out_grids(tmp_path):
    """After one epoch of two phases the network has seen phase 1 alone."""
    settings = TINY | {"epochs": 2, "arch": "cnn-2-4"}
    foldnet.train(out=tmp_path / "both", **settings)
    foldnet.train(out=tmp_path / "first", **(settings | {"windows": (3,), "epochs": 1}))
    both, first = (
        json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0]) for name in ("both", "first")
    )
    for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        assert both[key] == first[key]


def test_a_stopped_training_goes_on_as_if_it_had_not(tmp_path):
    """Resumed at the border of two phases, Adam's state and all."""
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    settings = TINY | {"arch": "scnn-3-4-2", "progressive": 0.3, "recurrence": 0.01, "recurrence_form": "sum"}
    foldnet.train(out=whole, checkpoint_every=0, **settings)

    class Enough(Exception):
        pass

    class Stop(Silent):
        def epoch(self, metrics):
            if metrics["epoch"] == 2:
                raise Enough

    with pytest.raises(Enough):
        foldnet.train(out=halves, observer=Stop(), checkpoint_every=0, **settings)
    foldnet.train(out=halves, resume=True)
    wanted, found = (foldnet.load(folder).state_dict() for folder in (whole, halves))
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_what_the_paper_does_is_the_preset():
    settings = train_settings({"dataset": "paths"})
    assert (settings.arch, settings.source.grid, settings.source.windows) == ("scnn-20-32-20", 32, (5, 9, 13, 17, 21))
    assert (settings.source.examples, settings.epochs, settings.source.obstacles, settings.source.target) == (
        5000,
        250,
        0.1,
        "union",
    )
    assert (settings.optimiser, settings.lr, settings.schedule) == ("adam", 0.01, "constant")


def test_the_folded_network_holds_one_tensor_an_owner_and_runs_longer_without_modules(shelf):
    fold = json.loads((shelf / "runs/one/fold/report.json").read_text())
    assert fold["program"].startswith("body: 4x { A }")
    assert (fold["measure"], fold["groups"][0]["owners"], fold["loops"], fold["reuses"]) == ("F1", 1, 1, 3)
    looped = foldnet.load("runs/one/fold")
    assert isinstance(looped, LoopedNetwork)
    weights = [name for name, tensor in looped.state_dict().items() if tuple(tensor.shape) == (8, 10, 3, 3)]
    assert weights == ["owners.body.owners.0"]
    before = [name for name, _ in looped.named_modules()], looped.state_dict().keys()
    looped.set_trips({"body.loop1": 9})
    assert ([name for name, _ in looped.named_modules()], looped.state_dict().keys()) == before
    x = torch.rand(2, 2, 11, 11)
    assert looped(x).shape == (2, 11, 11)


def test_lsm_fold_verify_and_graph_work_on_them(cli, shelf, tmp_path):
    (group,) = cli.done("lsm", "runs/soft")["groups"]
    assert (group["name"], len(group["matrix"])) == ("body", 5)
    assert cli.done("lsm", "runs/plain")["metric"] == "weights"
    for fold in ("runs/soft/fold", "runs/one/fold"):
        certificate = cli.done("verify", fold)
        assert (certificate["passed"], certificate["agreement"], certificate["measure"]) == (True, 1.0, "F1")
        f1, _ = slow_f1(
            foldnet.load(fold), draw_grids(50, PathRule(8, 5), seed=int("one" in fold), phase=1, split="test")
        )
        assert certificate["accuracy"]["looped"] == pytest.approx(f1, abs=1e-3)
    file = tmp_path / "graph.json"
    cli.done("render", "graph", "runs/one/fold", "-o", file)
    graph = nx.node_link_graph(json.loads(file.read_text()), edges="edges")
    assert len(list(nx.selfloop_edges(graph))) == 1


def test_folds_are_picked_and_tuned_by_f1(cli, shelf, tmp_path):
    sweep = cli.done("fold", "runs/soft", "--sweep", "--dry-run")
    assert sweep["measure"] == "F1"
    points = sweep["units"]["layer"]
    assert [point["owners"] for point in points] == [5, 4, 3, 2, 1]
    assert all(0 <= point["accuracy"] <= 1 and point["images"] == 40 for point in points)
    options = ["--max-drop", 100, "--finetune", 1, "--control", "--out", tmp_path / "fold"]
    report = cli.done("fold", "runs/soft", *options)
    assert report["groups"][0]["owners"] == 1
    assert {"finetuned", "soft_finetuned"} <= {name for name, value in report["accuracy"].items() if value is not None}
    f1, _ = slow_f1(foldnet.load(tmp_path / "fold"), draw_grids(50, PathRule(8, 5), seed=0, phase=1, split="test"))
    assert report["accuracy"]["finetuned"] == pytest.approx(f1)


@pytest.mark.parametrize("path", ["runs/soft", "runs/plain", "runs/one/fold"])
def test_other_grids_are_scored_by_the_length_of_the_path(cli, shelf, path):
    report = cli.done("evaluate", path, "--dataset", "paths", "--grid", 12, "--window", 9, "--count", 80)
    drawn = draw_grids(80, PathRule(12, 9, 0.1), seed=0, split="test")
    f1, whole = slow_f1(foldnet.load(path), drawn)
    assert (report["accuracy"], report["whole"]) == (pytest.approx(f1), whole / 80)
    assert report["data"] == "80 grids of 12x12 cells, window 9, obstacles 0.1, union"
    assert [part["shortest"] for part in report["by_length"]] == np.unique(drawn.lengths).tolist()
    for part in report["by_length"]:
        some = drawn.take(np.flatnonzero(drawn.lengths == part["shortest"]))
        assert (part["f1"], part["whole"]) == (
            pytest.approx(slow_f1(foldnet.load(path), some)[0]),
            slow_f1(foldnet.load(path), some)[1] / len(some),
        )
    assert sum(part["right"] for part in report["by_length"]) == report["right"]


def test_the_dial_turns_on_other_grids(cli, shelf):
    options = ["--size", 9, "--dataset", "mazes", "--count", 40]
    once = cli.done("evaluate", "runs/one/fold", *options, "--steps", "body.loop1=1")
    looped = foldnet.load("runs/one/fold")
    looped.set_trips({"body.loop1": 1})
    f1, _ = slow_f1(looped, draw_grids(40, MazeRule(9), split="test"))
    assert once["accuracy"] == pytest.approx(f1)
    anew = cli.done("evaluate", "runs/one/fold", *options, "--steps", "body.loop1=6", "--recalibrate")
    assert anew["recalibrated"]
    assert cli.done("evaluate", "runs/one/fold", "--steps", "body.loop1=4")["data"] == "paths"


def test_mazes_are_a_dataset_too(cli, shelf):
    run = open_run(shelf / "runs/maze")
    assert (run.settings.dataset, run.settings.source.size, run.blueprint.size) == ("mazes", 5, 5)
    f1, _ = slow_f1(foldnet.load("runs/maze"), draw_grids(50, MazeRule(5), split="test"))
    assert cli.done("evaluate", "runs/maze")["accuracy"] == pytest.approx(f1)


def test_mazes_grow_phase_by_phase(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--dataset", "mazes", "--smaller", "3,5", "--size", 7, "--epochs", 3, "--arch", "scnn-4-8-1-recall"]
    few = ["--examples", 20, "--test-examples", 10, "--validation", 10, "--device", "cpu"]
    cli.done(
        "train",
        *options,
        *few,
        "--norm",
        "rms",
        "--coefficients",
        "fixed",
        "--mixed-starts",
        0.5,
        "--progressive",
        1,
        "--out",
        "run",
    )
    run = open_run(tmp_path / "run")
    assert (run.settings.source.smaller, run.blueprint.size) == ((3, 5), 7)
    dataset, split = split_of_run(run, None)
    assert [phase.train.pixels.shape for phase in split.phases] == [(20, 2, side, side) for side in (3, 5, 7)]
    assert dataset.test.pixels.shape == (10, 2, 7, 7)
    assert cli.done("evaluate", "run", "--size", 9, "--count", 5)["images"] == 5
    cli.done("render", "paths", "run", "--curves", "-o", "curves.svg")
    assert "7 x 7" in (tmp_path / "curves.svg").read_text()


def test_the_reach_of_networks_is_measured_on_the_same_grids(cli, shelf, tmp_path):
    picture = tmp_path / "reach.svg"
    options = ["--grid", 10, "--window", 7, "--count", 30, "--trips", "2,4,8", "--recalibrate", "-o", picture]
    report = cli.done("render", "reach", "runs/plain", "runs/one/fold", *options)
    plain, looped = report["networks"]
    assert (report["images"], plain["loop"], looped["loop"], looped["found"]) == (30, None, "body.loop1", 4)
    assert [(p["trips"], p["steps"], p["recalibrated"]) for p in looped["points"]] == [
        (count, count, anew) for anew in (False, True) for count in (2, 4, 8)
    ]
    (point,) = plain["points"]
    assert (point["trips"], point["steps"]) == (None, 4)
    drawn = draw_grids(30, PathRule(10, 7), split="test")
    for path, found in (("runs/plain", point), ("runs/one/fold", looped["points"][1])):
        assert found["f1"] == pytest.approx(slow_f1(foldnet.load(path), drawn)[0])
    assert_whole(picture.read_text())


def test_reach_takes_the_run_of_a_fold_that_lies_elsewhere(cli, shelf, tmp_path):
    alone = shutil.copytree("runs/one/fold", tmp_path / "alone")
    options = ["--grid", 8, "--window", 5, "--count", 4, "--trips", "2", "-o", tmp_path / "reach.svg"]
    assert cli.refused("render", "reach", "runs/plain", alone, *options) == (
        f"fold '{alone}' is not inside its run 'one', which knows its data; name that run with --run"
    )
    named = cli.done("render", "reach", "runs/plain", "runs/one/fold", alone, "--run", "runs/one", *options)
    plain, inside, outside = named["networks"]
    assert (plain["form"], outside["path"]) == ("plain", str(alone))
    assert outside["points"] == inside["points"]


def test_grids_and_curves_are_drawn(cli, shelf, tmp_path):
    for arguments, name in (
        (["runs/one/fold", "--examples", 3, "--grid", 9], "grids.svg"),
        (["--curves", "runs/soft", "runs/plain"], "curves.svg"),
        (["--curves", "runs/maze"], "maze.svg"),
    ):
        assert cli.done("render", "paths", *arguments, "-o", tmp_path / name)["file"] == str(tmp_path / name)
        assert_whole((tmp_path / name).read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "train --dataset paths --arch swrn-28-2-4",
            "--arch swrn-28-2-4 answers for classes and paths asks for cells; "
            "choose one such as scnn-20-32-20 or cnn-20-32",
        ),
        (
            "train --arch scnn-20-32-1",
            "--arch scnn-20-32-1 answers for cells and digits asks for classes; "
            "choose one such as swrn-28-2-4 or wrn-28-2",
        ),
        (
            "train --dataset paths --windows 5,6",
            "a window of 6 is even, so that no cell is its middle; give an odd number such as 7",
        ),
        (
            "train --dataset paths --grid 16 --windows 5,17",
            "a window of 17 is larger than the grid of 16; give at most 15, or a larger --grid",
        ),
        (
            "train --dataset paths --windows five",
            "--windows 'five' is not whole numbers with commas; write 5,9,13,17,21",
        ),
        (
            "train --dataset paths --epochs 4",
            "--windows makes 5 phases and --epochs 4 has room for 1 to 4; give each phase an epoch at least",
        ),
        ("train --dataset paths --obstacles 1.1", "--obstacles 1.1 is not legal; give a number from 0 to 1"),
        (
            "train --dataset paths --obstacles 1",
            "--obstacles 1 makes every cell an obstacle, so that no grid has a pair of free cells; give less",
        ),
        ("train --dataset digits --grid 8", "--grid 8 has no meaning for digits; leave it out or use --dataset paths"),
        ("train --dataset paths --size 9", "--size 9 has no meaning for paths; leave it out or use --dataset mazes"),
        (
            "train --dataset mazes --size 8",
            "no maze has a side of 8; give an odd number of at least 3, since rooms and walls alternate",
        ),
        ("train --dataset mazes --smaller nine", "--smaller 'nine' is not whole numbers with commas; write 9,9,13"),
        (
            "train --dataset mazes --smaller 5,8",
            "no maze has a side of 8; give an odd number of at least 3, since rooms and walls alternate",
        ),
        (
            "train --dataset mazes --smaller 5,7 --epochs 2",
            "--smaller makes 3 phases and --epochs 2 has room for 1 to 2; give each phase an epoch at least",
        ),
        (
            "train --progressive 0.5",
            "--progressive 0.5 has no place in 'swrn-28-2-4'; leave it out",
        ),
        (
            "train --dataset paths --progressive 0.5 --sync-bn",
            "--progressive 0.5 and --sync-bn contradict each other, since processes that run other numbers of steps have no "
            "norms in common; leave one of them out",
        ),
        ("train --dataset paths --cutout 4", "--cutout 4 has no place in 'scnn-20-32-20'; leave it out"),
        (
            "evaluate runs/one/fold --steps body.loop1=-1",
            "--steps body.loop1=-1 is not legal; give a whole number from 0 to 10000",
        ),
        ("evaluate runs/one --size 9", "--size 9 has no meaning for paths; leave it out or change --dataset"),
        (
            "evaluate runs/one --dataset mazes --grid 9",
            "--grid 9 has no meaning for mazes; leave it out or change --dataset",
        ),
        (
            "evaluate runs/one --dataset mazes --window 5",
            "--window 5 has no meaning for mazes; leave it out or change --dataset",
        ),
        ("evaluate runs/one --dataset digits", "--dataset digits has no grids; choose paths or mazes"),
        ("evaluate runs/one --count 0", "--count 0 is not legal; give a whole number from 1 to 100000000"),
        (
            "render reach",
            "there is no network to compare; name runs or folds that were trained on grids",
        ),
        (
            "render reach runs/one runs/one/fold --run runs/one",
            "--run is for folds that do not lie inside their run, and none of these is one; leave it out",
        ),
        ("render reach runs/one/fold --trips 0", "--trips 0 is not legal; give a whole number from 1 to 10000"),
        ("render paths runs/one runs/soft", "grids are drawn of one network; name one run or fold, or add --curves"),
        ("render paths runs/one --examples 0", "--examples 0 is not legal; give a whole number from 1 to 1000"),
        (
            "render paths --curves runs/one runs/maze",
            "run 'runs/maze' has other phases than 'runs/one'; draw runs of the same --windows together",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(cli, shelf, arguments, said):
    assert cli.refused(*arguments.split()) == said


def test_runs_on_images_have_no_grids(cli, stock, monkeypatch):
    monkeypatch.chdir(stock)
    said = "run 'runs/soft' was trained on digits, "
    asked = cli.refused("evaluate", "runs/soft", "--grid", 9)
    assert asked == f"{said}of which no others can be drawn; leave out --dataset, --grid and the like"
    asked = cli.refused("evaluate", "runs/soft", "--count", 9)
    assert (
        asked
        == f"{said}of which no others can be drawn; name one that was trained on paths, mazes, prefix-sums or addition"
    )
    mend = "name one that was trained on paths or mazes"
    assert cli.refused("render", "paths", "runs/soft") == f"{said}which has no grids; {mend}"
    assert cli.refused("render", "paths", "--curves") == (
        "no run under 'runs' was trained on grids; train one with `foldnet train --dataset paths`"
    )


@pytest.mark.parametrize(("given", "arch"), [([], "scnn-20-32-20-recall"), (["--arch", "cnn-2-4"], "cnn-2-4-recall")])
def test_recall_is_an_option(cli, tmp_path, given, arch):
    def stop(*args, **options):
        raise RuntimeError(args[0].run.settings.arch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foldnet.verbs.train._train_on", stop)
        outcome = cli("train", *OPTIONS, "--recall", *given, "--out", tmp_path / "run")
    assert re.search(rf"unexpected RuntimeError: {arch};", outcome.err)


def test_a_config_may_name_windows_and_recall_reads_it(tmp_path):
    file = tmp_path / "paths.toml"
    file.write_text('dataset = "paths"\narch = "cnn-2-4"\ngrid = 8\nwindows = [3, 5]\nexamples = 16\nepochs = 2\n')
    report = foldnet.train(config=file, recall=True, out=tmp_path / "run", test_examples=8, validation=8)
    assert report.arch == "cnn-2-4-recall"
    again = foldnet.train(config=file, recall=True, out=tmp_path / "run", resume=True)
    assert again == report
    with pytest.raises(SettingError, match=r"^`windows=\(3, 7\)` contradicts run"):
        foldnet.train(windows=(3, 7), out=tmp_path / "run", resume=True)


def test_a_curriculum_stopped_in_its_last_test_goes_on(trained, tmp_path):
    shutil.copytree(trained / "runs" / "plain", tmp_path / "run")
    expected = read_report(tmp_path / "run").to_json()
    (tmp_path / "run" / "report.json").unlink()
    report = foldnet.train(out=tmp_path / "run", resume=True).to_json()
    assert report | {"run": ""} == expected | {"run": ""}


def test_recall_is_no_contradiction_of_a_run_that_has_it(shelf, tmp_path):
    assert foldnet.train(out="runs/one", resume=True, recall=True).arch == "scnn-4-8-1-recall"
    said = "`recall=True` contradicts run 'runs/plain', which trains 'cnn-4-8'; leave it out, or start another run"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        foldnet.train(out="runs/plain", resume=True, recall=True)


@pytest.mark.parametrize(("dataset", "arch"), [("digits", "wrn-16-1"), ("text", "sgpt-2-8-1-1")])
def test_a_network_without_an_input_to_recall_is_refused(cli, tmp_path, dataset, arch):
    asked = ["train", "--dataset", dataset, "--arch", arch, "--recall", "--out", tmp_path / "run"]
    assert cli.refused(*asked) == f"--recall has no place in '{arch}'; leave it out"
    assert not (tmp_path / "run").exists()


def test_an_unknown_network_that_is_to_recall_is_named_as_it_was_given(cli, tmp_path):
    said = cli.refused("train", "--dataset", "paths", "--arch", "foo", "--recall", "--out", tmp_path / "run")
    assert said == cli.refused("train", "--dataset", "paths", "--arch", "foo", "--out", tmp_path / "run")
    assert "'foo'" in said
