"""foldnet data paths and mazes: files of grids to keep."""

import json

import numpy as np
import pytest

from foldnet.data.curriculum import Curriculum, split_curriculum
from foldnet.data.rules import MazeRule, PathRule, draw_grids


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_are_written_as_they_are_drawn(cli, here):
    options = ["--count", 30, "--grid", 12, "--window", 7, "--obstacles", 0.2, "--seed", 5, "--target", "one"]
    report = cli.done("data", "paths", *options, "-o", "FILE.npz")
    drawn = draw_grids(30, PathRule(12, 7, 0.2, "one"), seed=5)
    with np.load("FILE.npz", allow_pickle=False) as stored:
        assert set(stored) == {"obstacles", "queries", "target"}
        assert (stored["obstacles"].shape, stored["obstacles"].dtype) == ((30, 12, 12), bool)
        assert (stored["queries"].shape, stored["queries"].dtype) == ((30, 2, 2), np.int64)
        assert (stored["target"].shape, stored["target"].dtype) == ((30, 12, 12), bool)
        for name in stored:
            assert (stored[name] == getattr(drawn, name)).all()
    assert report == {
        "file": "FILE.npz",
        "dataset": "paths",
        "count": 30,
        "size": 12,
        "seed": 5,
        "phase": 1,
        "split": "train",
        "mean_length": drawn.lengths.mean(),
        "longest": drawn.lengths.max(),
        "share_of_obstacles": drawn.obstacles.mean(),
        "share_of_target": drawn.target.mean(),
    }
    assert [path.name for path in here.iterdir()] == ["FILE.npz"]


def test_mazes_are_written_as_they_are_drawn(cli):
    cli.done("data", "mazes", "--count", 8, "--size", 7, "--seed", 2, "--phase", 3, "--split", "test", "-o", "m.npz")
    drawn = draw_grids(8, MazeRule(7), seed=2, phase=2, split="test")
    with np.load("m.npz") as stored:
        assert all((stored[name] == getattr(drawn, name)).all() for name in stored)


def test_a_set_is_what_a_training_sees(cli):
    cli.done("data", "paths", "--count", 9, "--grid", 8, "--window", 5, "--seed", 4, "--phase", 2, "-o", "p.npz")
    _, split = split_curriculum(Curriculum((PathRule(8, 3), PathRule(8, 5)), 9, 0, 1, seed=4))
    with np.load("p.npz") as stored:
        assert (stored["target"] == split.phases[1].train.labels.numpy()).all()


def test_the_same_command_writes_the_same_bytes_and_names_are_free(cli, here):
    first, second = (cli.done("data", "paths", "--count", 5)["file"] for _ in range(2))
    assert (first, second) == ("paths.npz", "paths-2.npz")
    assert (here / first).read_bytes() == (here / second).read_bytes()
    outcome = cli("data", "mazes", "--count", 5)
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1].strip() == "wrote mazes.npz"
    assert json.dumps(cli.done("data", "mazes", "--count", 5, "-o", "mazes.npz", "--force")["count"]) == "5"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("paths --obstacles 1.5", "--obstacles 1.5 is not legal; give a number from 0 to 1"),
        ("paths --window 6", "a window of 6 is even, so that no cell is its middle; give an odd number such as 7"),
        (
            "paths --window 33",
            "a window of 33 is larger than the grid of 32; give at most 31, or a larger --grid",
        ),
        ("paths --grid 1 --window 1", "--grid 1 is not legal; give a whole number from 2 to 1024"),
        ("paths --count 0", "--count 0 is not legal; give a whole number from 1 to 100000000"),
        ("paths --phase 0", "--phase 0 is not legal; give a whole number from 1 to 10000"),
        ("mazes --seed -1", "--seed -1 is not legal; give a whole number from 0 to 4294967295"),
        (
            "mazes --split tests",
            "--split tests is not legal; choose train, validation or test; did you mean 'test'?",
        ),
        (
            "mazes --size 8",
            "no maze has a side of 8; give an odd number of at least 3, since rooms and walls alternate",
        ),
        ("paths -o x.npy", "'x.npy' has ending '.npy'; give it one of .npz"),
        ("paths -o none/x.npz", "'none' is not a folder; make it first or give --out another place"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(cli, arguments, said):
    assert cli.refused("data", *arguments.split()) == said


def test_a_file_that_exists_is_kept(cli, here):
    (here / "x.npz").write_text("mine")
    assert cli.refused("data", "paths", "-o", "x.npz") == (
        "'x.npz' exists already; give --out another name or add --force"
    )
