"""foldnet lsm: which layers came to be alike, on the screen and in files."""

import csv
import json
import re

import numpy as np
import pytest
import torch

import foldnet
from foldnet.errors import SettingError
from foldnet.sharing.share import banks_of
from foldnet.training.checkpoint import load_coefficients
from foldnet.training.runs import open_run
from foldnet.verbs.lsm import lsm, lsm_history
from foldnet_cli.words import spoken

FIELDS = {"metric", "checkpoint", "epoch", "groups"}
GROUP_FIELDS = {"name", "layers", "templates", "matrix", "chance", "max_off_diagonal"}
SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF-", ".svg": b"<?xml"}
PLAIN_HAS_NONE = "`metric='coefficients'` needs a soft network, and this one is plain; use `metric='weights'`"


def exactly(sentence):
    return f"^{re.escape(sentence)}$"


def cosines(rows):
    """|cos| of the rows, the slow way: (L, D) -> (L, L)."""
    rows = rows.double().flatten(1)
    return [[abs(float(torch.dot(one, other) / one.norm() / other.norm())) for other in rows] for one in rows]


@pytest.mark.parametrize("name", ["soft", "tied"])
def test_both_metrics_are_cosines_of_what_they_are_named_after(cli, shelf, name):
    model, progress = open_run(shelf / "runs" / name).load()
    for metric in ("coefficients", "weights"):
        report = cli.done("lsm", f"runs/{name}", "--metric", metric)
        assert report.keys() >= FIELDS
        assert (report["metric"], report["checkpoint"], report["epoch"]) == (metric, "last", progress.epoch)
        assert [group["name"] for group in report["groups"]] == ["stage1", "stage2", "stage3"]
        for group, bank in zip(report["groups"], banks_of(model).values(), strict=True):
            assert group.keys() >= GROUP_FIELDS
            rows = bank.coefficients if metric == "coefficients" else torch.stack(list(bank.layer_weights()))
            assert np.allclose(group["matrix"], cosines(rows.detach()), atol=1e-6)
            assert group["templates"] == 4
            assert len(group["layers"]) == 6
            off = [value for i, row in enumerate(group["matrix"]) for j, value in enumerate(row) if i != j]
            assert group["max_off_diagonal"] == max(off)


def test_coefficients_are_the_usual_metric_of_soft_networks(cli, shelf):
    assert cli.done("lsm", "runs/soft") == cli.done("lsm", "runs/soft", "--metric", "coefficients")


def test_the_chance_level_is_that_of_six_layers_and_four_templates(cli, shelf):
    for group in cli.done("lsm", "runs/soft")["groups"]:
        assert group["chance"] == pytest.approx(
            {"mean": 0.27, "max": 0.77, "q95": 0.95, "network_q95": 0.973}, abs=0.01
        )
    for group in cli.done("lsm", "runs/soft", "--metric", "weights")["groups"]:
        assert 0 < group["chance"]["mean"] < group["chance"]["max"] < group["chance"]["q95"] < 1


def test_a_plain_network_is_compared_by_weights(cli, shelf):
    report = cli.done("lsm", "runs/plain")
    assert report == cli.done("lsm", "runs/plain", "--metric", "weights")
    assert report["metric"] == "weights"
    model, _ = open_run(shelf / "runs" / "plain").load()
    for group in report["groups"]:
        weights = torch.stack([model.get_parameter(f"{layer}.weight").detach() for layer in group["layers"]])
        assert np.allclose(group["matrix"], cosines(weights), atol=1e-6)
        assert group["templates"] == 0
        assert 0 < group["chance"]["mean"] < group["chance"]["q95"] < 0.1


def test_a_plain_network_has_no_coefficients(cli, shelf):
    assert cli.refused("lsm", "runs/plain", "--metric", "coefficients") == spoken(PLAIN_HAS_NONE)
    with pytest.raises(SettingError, match=exactly(PLAIN_HAS_NONE)):
        lsm(foldnet.build("wrn-16-1"), metric="coefficients")


def test_a_network_in_memory_will_do(shelf):
    model, _ = open_run(shelf / "runs" / "soft").load()
    stored, memory = lsm(shelf / "runs" / "soft"), lsm(model)
    assert (memory.run, memory.arch, memory.checkpoint, memory.epoch) == (None, None, None, None)
    assert all(np.array_equal(a.matrix, b.matrix) for a, b in zip(stored.groups, memory.groups, strict=True))


def test_a_run_left_out_is_the_newest(cli, shelf):
    assert cli.done("lsm")["run"] == "runs/tied"


def test_a_damaged_or_foreign_neighbour_is_not_the_newest(cli, home):
    for name, text in (("a", "{"), ("b", '{"kind": "run", "created": "99999"}'), ("c", "[]"), (".d", "{}")):
        (home / "runs" / name).mkdir()
        (home / "runs" / name / "config.json").write_text(text)
    assert cli.done("lsm")["run"] == "runs/tied"


def test_the_other_checkpoint(cli, shelf):
    _, progress = open_run(shelf / "runs" / "soft").load("best")
    report = cli.done("lsm", "runs/soft", "--checkpoint", "best")
    assert (report["checkpoint"], report["epoch"]) == ("best", progress.epoch)
    assert progress.epoch == progress.best_epoch


@pytest.mark.parametrize("word", ["bset", "../last", "", "epoch 3"])
def test_a_checkpoint_that_is_none(cli, shelf, word):
    said = f"run 'runs/soft' has no '{word}' checkpoint; use --checkpoint last"
    assert cli.refused("lsm", "runs/soft", "--checkpoint", word) == said


def test_a_run_without_a_best_checkpoint(cli, shelf):
    said = "run 'runs/tied' has no 'best' checkpoint; use --checkpoint last"
    assert cli.refused("lsm", "runs/tied", "--checkpoint", "best") == said


@pytest.mark.parametrize(
    ("metric", "hint"), [("weight", "; did you mean 'weights'?"), ("foo", ""), ("Weights", "; did you mean 'weights'?")]
)
def test_a_metric_that_is_none(cli, shelf, metric, hint):
    said = f"--metric {metric} is not legal; choose coefficients or weights{hint}"
    assert cli.refused("lsm", "runs/soft", "--metric", metric) == said


def test_a_folder_that_is_not_there_and_one_of_another_kind(cli, shelf):
    said = "'runs/nope' is not a folder; give the folder of a run, such as runs/NAME"
    assert cli.refused("lsm", "runs/nope") == said
    said = "'runs/tied/fold-0.95' is the folder of a fold, not of a run; give the folder of a run"
    assert cli.refused("lsm", "runs/tied/fold-0.95") == said


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_figures(cli, home, ending):
    assert cli("lsm", "runs/tied", "-o", f"figure{ending}").code == 0
    assert (home / f"figure{ending}").read_bytes().startswith(SIGNATURES[ending])
    assert cli.done("render", "lsm", "runs/tied", "-o", f"same{ending}") == {
        "file": f"same{ending}",
        "run": "runs/tied",
    }
    assert (home / f"same{ending}").read_bytes() == (home / f"figure{ending}").read_bytes()


def test_numbers_as_files_are_those_of_the_report(cli, home):
    report = cli.done("lsm", "runs/tied", "-o", "lsm.json")
    assert json.loads((home / "lsm.json").read_text()) == report
    for name in ("lsm.npy", "lsm.npz", "lsm.CSV"):
        assert cli.done("lsm", "runs/tied", "-o", name) == report
    matrices = [np.array(group["matrix"]) for group in report["groups"]]
    assert np.array_equal(np.load(home / "lsm.npy", allow_pickle=False), np.stack(matrices))
    with np.load(home / "lsm.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["stage1", "stage2", "stage3"]
        assert all(np.array_equal(arrays[name], matrix) for name, matrix in zip(arrays.files, matrices, strict=True))
    rows = list(csv.DictReader((home / "lsm.CSV").read_text().splitlines()))
    assert len(rows) == 3 * 15
    for row in rows:
        group = next(group for group in report["groups"] if group["name"] == row["group"])
        i, j = (group["layers"].index(row[layer]) for layer in ("layer_i", "layer_j"))
        assert float(row["similarity"]) == group["matrix"][i][j]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "a.xyz",
            "'a.xyz' has ending '.xyz'; give it one of .png, .svg, .pdf, .csv, .json, .npy, .npz",
        ),
        ("a", "'a' has no ending; give it one of .png, .svg, .pdf, .csv, .json, .npy, .npz"),
        ("nowhere/a.csv", "'nowhere' is not a folder; make it first or give --out another place"),
        ("runs", "'runs' is a folder; give --out a file name inside it"),
        (".", "'.' is a folder; give --out a file name inside it"),
        ("runs/tied/config.json", "'runs/tied/config.json' exists already; give --out another name or add --force"),
    ],
)
@pytest.mark.parametrize("command", [["lsm"], ["render", "lsm"], ["lsm", "--json"]])
def test_a_place_that_will_not_do(cli, home, command, name, said):
    assert cli.refused(*command, "runs/tied", "-o", name) == said


def test_what_exists_is_replaced_only_by_force(cli, home):
    (home / "a.csv").write_text("mine")
    assert cli.refused("lsm", "-o", "a.csv") == "'a.csv' exists already; give --out another name or add --force"
    assert cli("lsm", "-o", "a.csv", "--force").code == 0
    assert (home / "a.csv").read_text().startswith("group,layer_i,layer_j,similarity\n")


def test_a_file_that_cannot_be_made_leaves_nothing(cli, home):
    said = "'a.xyz' has ending '.xyz'; give it one of .png, .svg, .pdf, .csv, .json, .npy, .npz"
    (home / "a.xyz").write_text("mine")
    assert cli.refused("lsm", "-o", "a.xyz", "--force") == said


def test_the_history_is_drawn_and_written(cli, home):
    assert cli.done("lsm", "runs/soft", "--history") == {"file": "runs/soft/history.svg", "run": "runs/soft"}
    assert (home / "runs/soft/history.svg").read_bytes().startswith(SIGNATURES[".svg"])
    assert cli.done("lsm", "runs/soft", "--history", "-o", "h.npz") == {"file": "h.npz", "run": "runs/soft"}
    stored = load_coefficients(home / "runs" / "soft")
    last = cli.done("lsm", "runs/soft")["groups"]
    with np.load(home / "h.npz", allow_pickle=False) as arrays:
        for group in last:
            matrices = arrays[group["name"]]
            assert matrices.shape == (4, 6, 6)
            assert np.allclose(matrices[-1], group["matrix"], atol=1e-12)
            for epoch, matrix in enumerate(matrices):
                assert np.allclose(matrix, cosines(stored[group["name"]][epoch]), atol=1e-6)


def test_the_history_starts_where_training_did(shelf):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    for matrices in lsm_history(shelf / "runs" / "soft").values():
        assert matrices.shape[1:] == (6, 6)
        assert matrices[0].max() == pytest.approx(1.0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_second_history_takes_a_new_name(cli, home):
    for name in ("history.svg", "history-2.svg"):
        assert cli.done("lsm", "runs/soft", "--history") == {"file": f"runs/soft/{name}", "run": "runs/soft"}
    assert cli.done("lsm", "runs/soft", "--history", "--force") == {"file": "runs/soft/history.svg", "run": "runs/soft"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["runs/plain"],
            "run 'runs/plain' keeps no coefficients; only soft networks have them, such as swrn-28-2-4",
        ),
        (
            ["runs/soft", "-o", "h.csv"],
            "'h.csv' has ending '.csv'; give it one of .png, .svg, .pdf, .npy, .npz",
        ),
        (
            ["runs/soft", "--metric", "weights"],
            "--history shows the coefficients of every epoch; leave out --metric and --checkpoint",
        ),
        (
            ["runs/soft", "--checkpoint", "best"],
            "--history shows the coefficients of every epoch; leave out --metric and --checkpoint",
        ),
    ],
)
def test_a_history_that_there_is_not(cli, shelf, arguments, said):
    assert cli.refused("lsm", "--history", *arguments) == said


def test_a_history_that_was_lost_or_is_anothers(cli, home, put):
    file = home / "runs" / "soft" / "coefficients.safetensors"
    file.unlink()
    said = "'runs/soft/coefficients.safetensors' is missing; was the folder copied whole?"
    assert cli.refused("lsm", "runs/soft", "--history") == said
    put(file, (home / "runs" / "soft" / "last" / "checkpoint.safetensors").read_bytes())
    said = "'runs/soft/coefficients.safetensors' does not fit the network; it is another run's"
    assert cli.refused("lsm", "runs/soft", "--history") == said
