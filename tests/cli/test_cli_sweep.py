"""The sweep and the dial on the command line."""

import json
import re

import pytest


def test_a_sweep_is_a_table_and_a_file(cli, home):
    out = cli("fold", "runs/tied", "--sweep", "--groups", "stage3").out
    heading = "merged similar owners stored bytes loops accuracy right knee".replace(" ", " +")
    assert len(re.findall(rf"^{heading} *$", out, re.MULTILINE)) == 2
    row = r"^\(?\w+\)? +(\d\.\d{3})? +\d+ +[\d.]+ %  +[\d,]+  +\d+  +[\d.]+ %  +\d+( +yes)? *$"
    rows = [match[2] for match in re.finditer(row, out, re.MULTILINE)]
    assert (len(rows), len([knee for knee in rows if knee])) == (6 + 3, 2)  # every point in one line
    assert "by layer (stored: share of the dense shared weights)" in out
    stored = json.loads((home / "runs/tied/sweep.json").read_text())
    assert [len(stored["units"][unit]) for unit in ("layer", "block")] == [6, 3]


def test_a_sweep_is_one_object(cli, shelf):
    report = cli.done("fold", "runs/tied", "--sweep", "--dry-run", "--groups", "stage3")
    assert not (shelf / "runs/tied/sweep.json").exists()
    assert report["units"].keys() == report["knee"].keys() == {"layer", "block"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["render", "sweep", "runs/tied"],
            "run 'runs/tied' has no sweep.json; make it with `foldnet fold runs/tied --sweep`",
        ),
        (
            ["evaluate", "runs/tied", "--steps", "stage2.loop1=2"],
            "--steps needs the loops of a fold, and 'runs/tied' is a run; name its fold, or make one with `foldnet fold runs/tied`",
        ),
        (["evaluate", "runs/tied/fold-0.95", "--steps", "x"], "--steps 'x' is not LOOP=NUMBER; write stage2.loop1=5"),
        (
            ["evaluate", "runs/tied/fold-0.95", "--steps", "stage2.loop1=5", "--steps", "stage2.loop1=6"],
            "--steps stage2.loop1=6 contradicts --steps stage2.loop1=5; give one of them",
        ),
        (
            ["evaluate", "runs/tied/fold-0.95", "--steps", "stage2.loop1=--5"],
            "--steps 'stage2.loop1=--5' is not LOOP=NUMBER; write stage2.loop1=5",
        ),
        (
            ["evaluate", "runs/tied/fold-0.95", "--steps", "stage2.loop1=²"],
            "--steps 'stage2.loop1=²' is not LOOP=NUMBER; write stage2.loop1=5",
        ),
        (
            ["evaluate", "runs/tied/fold-0.95", "--steps", "stage2.loop1=-1"],
            "--steps stage2.loop1=-1 is not legal; give a whole number from 0 to 10000",
        ),
        (
            ["fold", "runs/tied", "--sweep", "--max-drop", "1"],
            "--sweep and --max-drop contradict each other; give one of them",
        ),
        (
            ["fold", "runs/tied", "--sweep", "--threshold", "0"],
            "--sweep and --threshold contradict each other; give one of them",
        ),
        (
            ["fold", "runs/tied", "--sweep", "--control"],
            "--sweep and --control contradict each other; give one of them",
        ),
        (
            ["fold", "runs/tied", "--no-evaluate", "--max-drop", "0"],
            "--no-evaluate and --max-drop contradict each other; give one of them",
        ),
    ],
)
def test_what_cannot_be_done_is_said(cli, shelf, arguments, said):
    assert cli.refused(*arguments) == said


def test_depth_has_a_line_for_every_number_of_trips(cli, shelf, tmp_path):
    out = cli("render", "depth", "runs/tied/fold-0.95", "--most", "2", "-o", tmp_path / "depth.svg").out
    assert out.count(", test accuracy (right of 360)\n") == 2
    assert len(re.findall(r"^\d( \(found\))? +([\d.]+ % \(\d+\) +){4}$", out, re.MULTILINE)) == 2 * 3
    assert max(map(len, map(str.rstrip, out.splitlines()))) <= 80


def test_depth_and_fold_are_drawn(cli, home):
    report = cli.done("render", "depth", "runs/tied/fold-0.95", "--most", "2", "--output", "depth.svg")
    assert [loop["name"] for loop in report["loops"]] == ["stage2.loop1", "stage3.loop1"]
    cli.done("render", "fold", "runs/tied/fold-0.95", "--output", "fold.svg")
    assert all((home / name).stat().st_size > 1000 for name in ("depth.svg", "fold.svg"))
