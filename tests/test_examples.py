"""The examples run as they are printed, and print what they promise."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace

import pytest
import torch

import foldnet
from foldnet.folding.settings import parse_budget
from foldnet.studies.file import read_study_file
from foldnet.training.observer import Silent
from foldnet.zoo.blueprint import build

EXAMPLES = Path(__file__).parents[1] / "examples"
STUDIES = sorted(EXAMPLES.glob("*.toml"))


@pytest.fixture
def run(tmp_path):
    """Run an example in an empty folder: its stdout."""

    def called(name, *arguments):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)}
        command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return called


def test_the_planted_loop_folds_exactly(run, tmp_path):
    out = run("planted_loop.py")
    assert "stage2: private; 3x { A }\n" in out
    differences = [float(number) for number in re.findall(r"(?:soft|tied): +(\S+e[-+]\d+)", out)]
    assert len(differences) == 2
    assert max(differences) < 1e-6
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_ones_own_shares(run):
    out = run("share_your_own.py")
    assert "body: 6 layers mix 2 templates of shape (16, 16, 3, 3)" in out
    assert "stem keeps its own weight: outside the stages" in out or "stem keeps its own weight" in out
    assert float(re.search(r"dense to soft: (\S+)", out)[1]) < 1e-5
    assert 1 <= int(re.search(r"(\d) owners of 6 layers at 0.9", out)[1]) <= 6


def test_networks_of_others_say_where_they_loop(run):
    found = json.loads(run("known_networks.py", "nn.Sequential", "examples/gpt2.py"))
    assert [len(its["loops"]) for its in found.values()] == [1, 1]
    assert all(its["verified"] and its["looped_to_tied"] <= 1e-5 for its in found.values())
    assert all(its["with_its_own_weights"] <= 1e-5 for its in found.values())
    kept = json.loads((EXAMPLES / "benchmarks" / "known-networks.json").read_text())["result"]
    assert all(kept[name]["loops"] == its["loops"] for name, its in found.items())
    wanted = {
        "resnet18": 1,
        "resnet50": 4,
        "wide_resnet50_2": 4,
        "densenet121": 0,
        "convnext_tiny": 4,
        "mobilenet_v2": 4,
        "mobilenet_v3_small": 2,
    }
    assert {name: len(kept[name]["loops"]) for name in wanted} == wanted


def test_sharing_was_measured_to_need_little_more_than_the_network():
    found = json.loads((EXAMPLES / "benchmarks" / "share-memory.json").read_text())["result"]
    few = [times for case, times in found.items() if case.startswith(("plan", "share, 2"))]
    assert len(few) == 3
    assert max(few) <= 1.3


@pytest.mark.parametrize("file", sorted((EXAMPLES / "benchmarks").glob("exported-*.json")), ids=lambda file: file.stem)
def test_exported_loops_were_measured_to_be_small_and_exact_and_as_fast_as_said(file):
    content = json.loads(file.read_text())
    found, amd = content["result"], "AMD" in content["machine"]["processor"]
    assert len(found) == 10
    slow = [name for name, network in found.items() if network["time_ratio"]["32"] > (1.15 if amd else 1.4)]
    assert slow in ([], ["resnet50, half as wide"])
    for network in found.values():
        assert network["loop"]["bytes"] <= 1.05 * network["unique_bytes"] + 2**16
        assert network["largest_as_found"] <= 1e-4
        assert network["predictions_that_differ"] == 0
        assert network["loops"]
        assert not network["unrolled_because"]
        assert network["loop"]["optimised_to_unique"] <= 1.11


def test_digits_are_folded(run, tmp_path):
    out = run("fold_digits.py", "--epochs", 2, "--out", tmp_path / "run")
    soft, folded = (int(re.search(rf"{form}: (\d+) of 360 right", out)[1]) for form in ("soft", "folded"))
    assert 0 <= min(soft, folded) <= 360
    said = re.search(r"folded: .* right, (\S+) parameters", out)[1]
    assert f"{said} parameters in the network that was loaded again" in out
    assert json.loads((tmp_path / "run" / "graph.json").read_text())


def test_shortest_paths_are_studied_with_their_picture(run, tmp_path):
    study = tmp_path / "study.json"
    out = run("shortest_paths.py", "--preset", "tiny", "--seeds", 3, "--json", study, "--jobs", 1)
    results = json.loads(study.read_text())["results"]
    assert [(entry["network"], entry["seed"], entry["phases"]) for entry in results] == [
        ("cnn", 3, 2),
        ("scnn", 3, 2),
        ("scnn-regularised", 3, 2),
    ]
    for entry in results:
        assert len(entry["f1"]) == 4
        assert f"{entry['f1'][-1]:.4f}" in out
    folder = tmp_path / "runs" / "shortest-paths-tiny"
    assert (folder / "figure5.png").read_bytes().startswith(b"\x89PNG")
    assert "wrote runs/shortest-paths-tiny/figure5.png" in out


@pytest.mark.parametrize(
    ("dataset", "arch", "trained", "sizes"),
    [
        ("prefix-sums", "scnn1d-3-4-1-recall", {"length": 4}, (4, 8)),
        ("mazes", "scnn-3-4-1-recall", {"size": 3}, (3, 5)),
    ],
)
def test_a_loop_is_run_longer_on_larger_problems(run, tmp_path, dataset, arch, trained, sizes):
    foldnet.train(
        dataset=dataset, arch=arch, coefficients="fixed", **trained, examples=50, test_examples=10, validation=0,
        epochs=1, device="cpu", out=tmp_path / "run", observer=Silent(),
    )  # fmt: skip
    foldnet.fold(tmp_path / "run", out=tmp_path / "run" / "fold", evaluated=False, observer=Silent())
    options = ["--sizes", *sizes, "--times", 1, 2, "--count", 9, "--out", "a.svg", "--json", "a.json"]
    out = run("longer.py", tmp_path / "run" / "fold", *options)
    kept = json.loads((tmp_path / "a.json").read_text())
    ((name, entry),) = kept["results"].items()
    assert name == str(tmp_path / "run" / "fold")
    (measured,) = entry["measured"]
    assert measured["machine"]["torch"] == version("torch")
    assert measured["command"].startswith("python examples/longer.py ")
    trips = [3, 6, 3, 6, 12] if dataset == "prefix-sums" else [3, 6, 3, 5, 10]
    assert [row["size"] for row in entry["rows"]] == [*sizes[:1] * 2, *sizes[1:] * 3]
    assert [row["trips"] for row in entry["rows"]] == trips
    assert all(0 <= row["right"] <= row["of"] == 9 and 0 <= row["score"] <= 1 for row in entry["rows"])
    assert (entry["arch"], entry["seed"], entry["coefficients"], entry["found"]) == (arch, 0, "fixed", 3)
    assert len(entry["alike"]) == 1
    assert entry["trained_on"] == list(trained.values())
    assert out.count("of 9 wholly right") == 5
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    again = run("longer.py", tmp_path / "run" / "fold", *options)
    assert "wholly right" not in again  # what stands in the file is not measured again
    assert json.loads((tmp_path / "a.json").read_text()) == kept


def test_what_has_no_loop_is_scored_as_it_is(run, tmp_path):
    foldnet.train(
        dataset="paths", arch="cnn-3-4-recall", grid=24, windows=[5], examples=20, test_examples=10, validation=0,
        epochs=1, device="cpu", out=tmp_path / "run", observer=Silent(),
    )  # fmt: skip
    out = run("longer.py", tmp_path / "run", "--count", 2, "--sizes", 24, 48, "--out", "a.svg", "--json", "a.json")
    (entry,) = json.loads((tmp_path / "a.json").read_text())["results"].values()
    assert [(row["size"], row["trips"], row["of"]) for row in entry["rows"]] == [(24, 3, 2), (48, 3, 2)]
    assert (entry["program"], entry["found"]) == ("no loop", 3)
    assert "cnn-3-4-recall, 3 trips and no loop" in out


@pytest.fixture(scope="module")
def string_runs(tmp_path_factory):
    """A run on strings of bits, and one on digits, beside files that are none of the example's."""
    folder = tmp_path_factory.mktemp("longer")
    small = {"epochs": 1, "device": "cpu", "observer": Silent()}
    foldnet.train(
        dataset="prefix-sums", arch="scnn1d-2-4-1-recall", coefficients="fixed", length=4, examples=50, test_examples=10,
        validation=0, out=folder / "run", **small,
    )  # fmt: skip
    foldnet.train(arch="wrn-10-1", out=folder / "digits", **small)
    (folder / "broken.json").write_text("{")
    (folder / "list.json").write_text("[]")
    (folder / "rows.json").write_text('{"results": {"run": {"rows": 5, "measured": []}}}')
    (folder / "row.json").write_text('{"results": {"run": {"rows": [{"size": 4}], "measured": []}}}')
    (folder / "other.json").write_text('{"command": "a", "results": {"run": {"rows": []}}}')
    return folder


@pytest.fixture
def longer(string_runs, monkeypatch, capsys):
    """examples/longer.py with some words, where these runs lie: what it prints, or why it stops."""
    monkeypatch.chdir(string_runs)
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def called(*words):
        import longer

        monkeypatch.setattr("sys.argv", ["longer.py", *map(str, words)])
        try:
            longer.main()
        except SystemExit as stopped:
            return capsys.readouterr().err if isinstance(stopped.code, int) else stopped.code
        return capsys.readouterr().out

    return called


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --times nan", "argument --times: 'nan' is not a number above 0"),
        ("run --times 0", "argument --times: '0' is not a number above 0"),
        ("run --sizes -1", "argument --sizes: '-1' is not a whole number above 0"),
        ("run --sizes 1", "error: `length=1` is not legal; give a whole number from 2 to 65536"),
        ("run --out no/a.svg", "error: 'no/a.svg' has no folder to lie in; make 'no' first"),
        ("run --json no/a.json", "error: 'no/a.json' has no folder to lie in; make 'no' first"),
        ("run --out a.jpeg", "error: 'a.jpeg' has ending '.jpeg'; give it one of .png, .svg, .pdf"),
        ("gone", "error: 'gone' is not a folder; give the folder of a run, such as runs/NAME"),
        (
            "digits",
            "error: 'digits' was trained on digits, whose problems have one size; name what was trained on one of "
            "prefix-sums, mazes, paths, addition",
        ),
        *(
            (
                f"run --json {name}.json",
                f"error: '{name}.json' is not a file that this example wrote; name another --json",
            )
            for name in ("broken", "list", "other", "rows", "row")
        ),
    ],
)
def test_what_cannot_be_run_longer_is_said_before_anything_is_measured(longer, string_runs, words, said):
    before = {path: path.read_bytes() for path in string_runs.glob("*.*")}
    assert said in longer(*words.split())
    assert {path: path.read_bytes() for path in string_runs.glob("*.*")} == before


def test_trips_go_to_a_hundred_times_those_found_however_many_are_asked_for(longer):
    import longer as example

    source = SimpleNamespace(name="prefix-sums", length=4)
    network = SimpleNamespace(run=SimpleNamespace(settings=SimpleNamespace(source=source)), found=3, loop="body.loop1")
    assert example.Wanted((8,), (1e-9, 1.0, 1e308), 5).settings(network) == [(8, 1), (8, 3), (8, 6), (8, 300)]


def test_numbers_of_a_fold_are_added_to_and_never_mixed(longer, string_runs):
    kept = ["--json", "kept.json", "--out", "kept.svg"]

    def rows():
        (entry,) = json.loads((string_runs / "kept.json").read_text())["results"].values()
        return [row["size"] for row in entry["rows"]], len(entry["measured"])

    assert longer("run", "--sizes", 8, 4, "--count", 5, *kept).count("of 5 wholly right") == 2
    assert rows() == ([4, 8], 1)
    assert longer("./run", "--sizes", 4, 6, "--count", 5, *kept).count("of 5 wholly right") == 1
    assert rows() == ([4, 6, 8], 2)
    said = "error: 'kept.json' has scores of 'run' on 5 problems of a size, not 6; give --count 5, or another --json"
    assert longer("run", "--sizes", 4, "--count", 6, *kept) == said
    (string_runs / "kept.json").write_text((string_runs / "kept.json").read_text().replace('"seed": 0', '"seed": 1'))
    said = "error: 'kept.json' has numbers of another 'run'; name another --json, or remove them"
    assert longer("run", "--count", 5, *kept) == said
    assert rows() == ([4, 6, 8], 2)


def test_what_was_measured_stays_where_a_later_size_is_refused(longer, string_runs):
    said = longer("run", "--sizes", 4, 100_000, "--count", 5, "--json", "part.json")
    assert said == "error: `length=100000` is not legal; give a whole number from 2 to 65536"
    (entry,) = json.loads((string_runs / "part.json").read_text())["results"].values()
    assert [row["size"] for row in entry["rows"]] == [4]


def test_ways_of_tying_are_studied(run, stock, tmp_path):
    study = tmp_path / "study.json"
    options = ["--thresholds", 0.9, "--ties", "signed", "gain", "--json", study]
    out = run("tie_study.py", stock / "runs" / "soft", stock / "runs" / "tied", *options)
    results = json.loads(study.read_text())["results"]
    assert [(row["run"], row["unit"], row["tie"]) for row in results] == [
        (name, unit, tie) for name in ("soft", "tied") for unit in ("layer", "block") for tie in ("signed", "gain")
    ]
    assert all(1 <= row["owners"] <= row["layers"] == 18 and 0 < row["stored"] <= 1 for row in results)
    by_layer = {
        tie: [row["recalibrated"] for row in results if row["unit"] == "layer" and row["tie"] == tie]
        for tie in ("gain", "signed")
    }
    apart = [100 * (a - b) for a, b in zip(by_layer["gain"], by_layer["signed"], strict=True)]
    assert f"gain over signed at 0.9 layer: {mean(apart):.2f} ± {stdev(apart):.2f} points\n" in out
    assert f"{100 * mean(by_layer['gain']):.2f} ± {100 * stdev(by_layer['gain']):.2f}\n" in out
    whole = foldnet.fold(stock / "runs" / "tied", threshold=0.9, tie="gain", shares=False, dry_run=True).report
    assert by_layer["gain"][1] == whole.accuracy.recalibrated


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_study_says_what_would_run(file, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("study", "run", file, "--dry-run").out
    trials = read_study_file(file).trials
    assert all(trial.name in said for trial in trials)
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "nothing was run" in said
    assert list(tmp_path.iterdir()) == []
    comment = file.read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert f"examples/{file.name}" in comment or f"examples/{file.stem.removesuffix('-controls')}.toml" in comment
    assert read_study_file(file).name == file.stem


@pytest.mark.parametrize(("name", "width"), [("worth-folding", 1), ("worth-folding-2", 2)])
def test_folds_are_compared_to_networks_of_the_stored_numbers_and_epochs(name, width):
    folded, controls = (read_study_file(EXAMPLES / f"{name}{part}.toml").trials for part in ("", "-controls"))
    budgets = {step.settings.budget for trial in folded for step in trial.steps if step.kind == "fold"}
    with torch.device("meta"):
        sizes = {
            trial.settings.arch: sum(one.numel() for one in build(trial.settings.arch).parameters())
            for trial in controls
        }
    for budget in budgets:
        most, in_bytes = parse_budget(budget)
        assert not in_bytes
        assert any(most - 500 < size <= most for arch, size in sizes.items() if arch.startswith(f"swrn-28-{width}-"))
    own = {
        trial.settings.epochs + step.settings.finetune
        for trial in folded
        for step in trial.steps
        if step.kind == "fold"
    }
    like = {step.settings.epochs for trial in folded for step in trial.steps if step.kind == "like"}
    assert own == like == {trial.settings.epochs for trial in controls}
    assert {trial.settings.seed for trial in folded} == {trial.settings.seed for trial in controls}
