"""foldnet verify and foldnet bench inference as a user meets them."""

import dataclasses
import json
import shutil
from pathlib import Path

import planted
import pytest
import torch
from typer.testing import CliRunner

from foldnet.folding.folds import open_fold, save_fold, settings_of
from foldnet.verbs.fold import fold
from foldnet_cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run with a fold, the newest here."""
    monkeypatch.chdir(tmp_path)
    planted.use_few_digits(monkeypatch)
    planted.plant_run(Path("runs/planted"))
    fold("runs/planted", out="runs/planted/fold", evaluated=False)
    return Path("runs/planted")


def invoke(*args: str):
    return CliRunner().invoke(app, args)


def spoil(run: Path) -> None:
    """Change a gain, and state digests that agree."""
    opened, looped = open_fold(run / "fold"), open_fold(run / "fold").load()
    with torch.no_grad():
        looped.network.stage2.blocks["A"].body.conv1.gain[1] *= 1.1
    report = json.loads((run / "fold" / "report.json").read_text())
    save_fold(run / "fold", dataclasses.replace(opened), looped, settings_of(run / "fold"), report)


def test_a_sound_fold_exits_with_0_and_says_what_was_compared(run):
    done = invoke("verify")
    assert done.exit_code == 0, done.output
    assert done.stderr == "using runs/planted/fold, the newest fold of the newest run\n"
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["compared", "inputs", "largest", "mean", "relative", "agree"]
    assert lines[2].split()[:5] == ["looped", "with", "tied", "50", "test"]
    assert lines[2].split()[-2:] == ["100.00", "%"]
    assert lines[-1].startswith("passed: 42 of 42 promises hold, runs/planted/fold, ")
    assert not [line for line in lines if line.startswith(("promises kept", "BROKEN"))]
    promises = json.loads((run / "fold" / "certificate.json").read_text())["promises"]
    assert [promise["held"] for promise in promises] == [True] * 42
    assert "numbers in the file that are not finite" in {promise["name"] for promise in promises}
    assert (run / "fold" / "certificate.json").is_file()


def test_json_is_the_certificate(run):
    done = invoke("verify", "runs/planted", "--json", "--images", "3")
    assert done.exit_code == 0, done.output
    written = json.loads((run / "fold" / "certificate.json").read_text())
    del written["sha256"]
    assert json.loads(done.stdout) == written | {"fold": "runs/planted/fold"}


@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_compared_with_its_run_exits_with_3_and_says_so(run, as_json):
    shutil.move(run / "fold", "alone")
    done = invoke("verify", "alone", *(["--json"] if as_json else []))
    assert (done.exit_code, done.stderr) == (3, "")
    if as_json:
        found = json.loads(done.stdout)
        assert found["passed"] is None
        assert found["verdict"] == "consistent in itself; not compared with its run"
    else:
        lines = done.stdout.splitlines()
        assert lines[-1].startswith("consistent in itself; not compared with its run, alone, ")
        assert "not checked: run 'planted' is not around the fold, and no --run names it" in done.stdout
        assert max(map(len, lines)) <= 80
    assert invoke("verify", "alone", "--run", str(run), "--images", "3").exit_code == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_a_broken_promise_exits_with_1_after_the_report(run, as_json):
    spoil(run)
    done = invoke("verify", "runs/planted/fold", "--images", "5", *(["--json"] if as_json else []))
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "Error: fold 'runs/planted/fold' breaks 3 promises (gains against report.json, relative difference: "
    )
    assert done.stderr.endswith("instead of at most 1e-05); fold the run again\n")
    if as_json:
        assert json.loads(done.stdout)["passed"] is False
    else:
        assert "BROKEN gains against report.json, relative difference: " in done.stdout
        assert done.stdout.splitlines()[-1].startswith("FAILED: 39 of 42 promises hold, ")
    assert json.loads((run / "fold" / "certificate.json").read_text())["passed"] is False


def test_a_changed_file_exits_with_1_and_one_sentence(run):
    file = run / "fold" / "report.json"
    file.write_text(file.read_text() + "\n")
    done = invoke("verify")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.removeprefix("using runs/planted/fold, the newest fold of the newest run\n") == (
        "Error: 'runs/planted/fold/report.json' was changed after the fold was written (its SHA-256 differs); "
        "restore it or fold the run again\n"
    )


def test_bench_inference_says_that_folding_saves_no_flops(run):
    options = ("--batch-sizes", "1", "--repeats", "1", "--threads", "1")
    done = invoke("bench", "inference", *options)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("batch 1  ms")
    assert [line.split()[0] for line in lines[1:6]] == ["soft", "dense", "tied", "looped", "plain"]
    said = "folding saves bytes, not FLOPs: the looped network computes what the dense one computes"
    assert " ".join(done.stdout.split()).endswith(said)


def test_bench_inference_gives_json(run):
    done = invoke("bench", "inference", "--batch-sizes", "1,2", "--repeats", "1", "--json", "-o", "bench.json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == json.loads(Path("bench.json").read_text())


def test_batch_sizes_are_whole_numbers(run):
    done = invoke("bench", "inference", "--batch-sizes", "1,x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: --batch-sizes '1,x' is not whole numbers with commas; write 1,128\n"
