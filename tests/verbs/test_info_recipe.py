"""foldnet info: what a network is made of."""

import json
import os

import planted
import pytest
import torch
from safetensors.torch import save_file

import foldnet
from foldnet.verbs.listing import list_runs
from foldnet.zoo.families import legal_names

FIELDS = {"parameters", "trainable", "virtual_parameters", "groups"}
LINES = {"run", "arch", "dataset", "seed", "epochs", "of", "test_accuracy"}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", ["swrn-28-1-4", "swrn-16-1-2", "wrn-16-1"])
def test_an_architecture_is_counted_as_it_is_built(cli, shelf, name):
    report = cli.done("info", name)
    assert report.keys() >= FIELDS
    model = foldnet.build(name)
    assert (report["name"], report["kind"]) == (name, "architecture")
    assert report["parameters"] == report["trainable"] == count(model)
    assert report["virtual_parameters"] == count(foldnet.materialise(model))
    assert report["assumed"] == "3 input channels and 10 classes"
    assert [group["name"] for group in report["groups"]] == (["stage1", "stage2", "stage3"] if name[0] == "s" else [])


def test_a_large_architecture_is_not_allocated(cli, shelf):
    report = cli.done("info", "swrn-28-10-4")
    assert (report["parameters"], report["virtual_parameters"]) == (26_802_466, 36_479_194)
    sizes = [(len(group["layers"]), group["templates"], group["weight_numbers"]) for group in report["groups"]]
    assert sizes == [(6, 4, 230_400), (6, 4, 921_600), (6, 4, 3_686_400)]
    reasons = dict(report["private"])
    assert reasons["stem"] == "outside the stages"
    assert reasons["stage2.0.shortcut"] == "first block of its stage, where width or resolution changes"


def test_a_run_is_its_architecture_for_its_data(cli, shelf):
    report = cli.done("info", "runs/soft")
    assert (report["name"], report["kind"]) == ("runs/soft", "run")
    model = foldnet.load("runs/soft")
    assert (report["parameters"], report["virtual_parameters"]) == (count(model), count(foldnet.materialise(model)))
    assert (report["settings"]["dataset"], report["settings"]["arch"]) == ("digits", "swrn-28-1-4")


def test_a_run_tells_how_it_was_trained_and_of_its_folds(cli, shelf):
    trained = json.loads((shelf / "runs/soft/report.json").read_text())["test_accuracy"]
    report = cli.done("info", "runs/soft")["trained"]
    (listed,) = (line for line in cli.done("runs")["runs"] if line["run"] == "runs/soft")
    assert report == listed
    told = {"arch": "swrn-28-1-4", "dataset": "digits", "seed": 0, "epochs": 3, "of": 3, "test_accuracy": trained}
    assert told.items() <= report.items()
    said = " ".join(cli("info", "runs/soft").out.split())
    assert f"network swrn-28-1-4 data digits, seed 0 epochs 3 of 3 test {100 * trained:.2f} %" in said


def test_the_folds_of_a_run_are_told_with_accuracy_and_size(cli, shelf):
    written = json.loads((shelf / "runs/tied/fold-0.95/report.json").read_text())["accuracy"]["recalibrated"]
    (fold,) = cli.done("info", "runs/tied")["trained"]["folds"]
    assert (fold["fold"], fold["accuracy"], fold["problem"]) == ("runs/tied/fold-0.95", written, None)
    assert cli.done("info", "runs/tied/fold-0.95")["folded"] == fold
    about = f"{100 * written:.2f} %, {fold['bytes'] / 1e6:.1f} MB"
    assert f"fold runs/tied/fold-0.95, {about}" in " ".join(cli("info", "runs/tied").out.split())
    assert f"test, size {about}" in " ".join(cli("info", "runs/tied/fold-0.95").out.split())
    assert f"runs/tied/fold-0.95 fold, {about}" in " ".join(cli("runs").out.split())


def test_a_damaged_fold_is_named_beside_the_sound_ones(cli, home, put):
    put(home / "runs/tied/fold-0.95/report.json", "[]")
    (fold,) = cli.done("info", "runs/tied")["trained"]["folds"]
    assert fold["accuracy"] is None
    put(home / "runs/tied/fold-0.95/report.json", "{")
    (fold,) = cli.done("info", "runs/tied")["trained"]["folds"]
    assert "runs/tied/fold-0.95/report.json" in fold["problem"]
    assert "damaged: 'runs/tied/fold-0.95/report.json'" in " ".join(cli("info", "runs/tied").out.split())


def test_a_fold_whose_report_is_none_is_damaged(cli, home, put):
    made = home / "runs/tied/fold-0.95"
    put(made / "report.json", "[]")
    put(made / "config.json", (made / "config.json").read_bytes())  # as `home` shares its files with other tests
    planted.reseal(made)
    (fold,) = cli.done("info", "runs/tied")["trained"]["folds"]
    assert fold["problem"] == (
        "'runs/tied/fold-0.95/report.json' is not the report of a fold (expected object, got array); fold the run again"
    )


def test_a_fold_is_what_its_report_says(cli, shelf):
    report, folded = cli.done("info", "runs/tied/fold-0.95"), foldnet.load("runs/tied/fold-0.95")
    written = json.loads((shelf / "runs/tied/fold-0.95/report.json").read_text())
    assert report["kind"] == "fold"
    assert report["parameters"] == count(folded) == written["parameters"]["folded"]
    assert report["virtual_parameters"] == written["parameters"]["dense"]
    assert report["program"] == written["program"]
    assert [group["owners"] for group in report["groups"]] == [6, 2, 1]
    assert [group["templates"] for group in report["groups"]] == [4, None, None]
    assert [sorted(group["layers"]) for group in report["groups"]] == [
        sorted(layer for cluster in group["clusters"] for layer in cluster) for group in written["groups"]
    ]


def test_a_tensor_file_is_listed_and_checked(cli, home, put):
    file = home / "runs/tied/fold-0.95/weights.safetensors"
    report = cli.done("info", file)
    assert (report["kind"], report["sound"], report["bytes"]) == ("file", True, file.stat().st_size)
    state = foldnet.load("runs/tied/fold-0.95").state_dict()
    assert {entry["name"]: tuple(entry["shape"]) for entry in report["tensors"]} == {
        name: tuple(tensor.shape) for name, tensor in state.items()
    }
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    put(file, bytes(content))
    assert cli.done("info", file)["sound"] is False
    assert "CHANGED after it was written" in cli("info", file).out
    save_file({"a": torch.zeros(2, 3)}, home / "other.safetensors")
    report = cli.done("info", "other.safetensors")
    assert (report["sound"], report["parameters"]) == (None, 6)
    assert "states no digest" in cli("info", "other.safetensors").out


def test_without_a_name_there_is_a_line_for_every_run(cli, shelf):
    runs = cli.done("info")["runs"]
    assert all(line.keys() >= LINES for line in runs)
    assert [line["run"] for line in runs] == ["runs/plain", "runs/soft", "runs/tied"]
    trained = json.loads((shelf / "runs/soft/report.json").read_text())
    assert [line["test_accuracy"] for line in runs][1:] == [trained["test_accuracy"], None]
    assert [(line["epochs"], line["of"]) for line in runs] == [(1, 1), (3, 3), (3, 3)]
    text = cli("info").out.splitlines()
    assert text[1].startswith("runs/soft              swrn-28-1-4 digits, seed 0, 3/3 epochs, ")
    assert text[3].split()[:2] == ["runs/tied/fold-0.95", "fold,"]


def test_runs_are_listed_with_their_folds_and_sizes(cli, shelf):
    assert cli("runs").out == cli("info").out
    runs = {line["run"]: line for line in cli.done("runs")["runs"]}
    (fold,) = runs["runs/tied"]["folds"]
    assert fold["fold"] == "runs/tied/fold-0.95"
    for folder, size in (("runs/tied/fold-0.95", fold["bytes"]), ("runs/soft", runs["runs/soft"]["bytes"])):
        assert size == sum(path.stat().st_size for path in (shelf / folder).rglob("*") if path.is_file())


def test_no_runs_at_all(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list_runs().runs == ()
    assert cli.done("info") == {"runs": []}
    assert cli("info").out == "no runs under 'runs'; train one with `foldnet train`\n"


@pytest.mark.parametrize("name", ["config.json", "report.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "run", "schema": 1, "created": "now"}'])
def test_a_damaged_run_does_not_hide_the_others(cli, home, put, name, content):
    put(home / "runs" / "soft" / name, content)
    lines = {line["run"]: line for line in cli.done("info")["runs"]}
    assert {"runs/plain", "runs/tied"} <= lines.keys()
    text = cli("info").out
    accuracy = json.loads((home / "runs/plain/report.json").read_text())[
        "test_accuracy"
    ]  # which rounding decides, by processor
    assert f"wrn-16-1 digits, seed 0, 1/1 epochs, {100 * accuracy:.2f} %, " in text
    if "runs/soft" in lines and lines["runs/soft"]["problem"] is not None:
        assert f"damaged: runs/soft: {lines['runs/soft']['problem']}" in " ".join(text.split())
        assert f"runs/soft/{name}" in lines["runs/soft"]["problem"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", f"architecture 'nope' is not known; legal names are {legal_names()}"),
        ("no/pe", "'no/pe' does not exist; give an architecture, a run or fold folder, or a safetensors file"),
        (
            "no.safetensors",
            "'no.safetensors' does not exist; give an architecture, a run or fold folder, or a safetensors file",
        ),
        ("runs", "'runs' holds no config.json; it is not the folder of a run"),
    ],
)
def test_what_does_not_exist(cli, shelf, name, said):
    assert cli.refused("info", name) == said


def test_a_depth_that_is_not_legal(cli, shelf):
    said = cli.refused("info", "swrn-27-2-4")
    assert said.startswith("architecture 'swrn-27-2-4' has depth 27; legal depths are 16, 22, 28, ...")


def test_a_file_that_holds_no_tensors(cli, home):
    (home / "text.txt").write_text("text")
    said = cli.refused("info", "text.txt")
    assert said.startswith("'text.txt' cannot be read as tensors (")
    assert said.endswith("); it is no safetensors file")


def test_a_pipe_is_not_waited_for(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("weights.safetensors")
    said = "'weights.safetensors' is a named pipe and not a plain file; put one there"
    assert cli.refused("info", "weights.safetensors") == said


def test_a_link_that_the_user_names_is_followed(cli, home):
    (home / "a.safetensors").symlink_to("runs/soft/last/checkpoint.safetensors")
    assert cli.done("info", "a.safetensors")["sound"] is True
