"""Converting runs and files of weights: what is written opens as any other run does."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

import foldnet
from foldnet.errors import OutputError, SettingError, UnknownName
from foldnet.training.runs import open_run
from foldnet.verbs.convert_origin import read_weights
from foldnet.zoo.blueprint import blueprint, build
from tests.planted import use_few_digits

X = torch.linspace(-1, 1, 2 * 8 * 8).reshape(2, 1, 8, 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A plain run on few digits: wrn-22-1, four layers a group."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        use_few_digits(patch)
        settings = {"arch": "wrn-22-1", "epochs": 1, "precision": "fp32", "device": "cpu", "validation": 40}
        foldnet.train(out=home / "plain", **settings)
    return home / "plain"


@pytest.fixture
def plain(trained, tmp_path, monkeypatch):
    """A copy of that run in a working folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    use_few_digits(monkeypatch)
    shutil.copytree(trained, tmp_path / "runs" / "plain")
    return tmp_path / "runs" / "plain"


def relative(one, other):
    return ((one - other).norm() / other.norm()).item()


def test_as_many_templates_as_layers_give_a_run_that_computes_the_same(plain):
    made = foldnet.convert(plain, templates=4, out="runs/soft")
    soft = foldnet.load("runs/soft")
    assert relative(soft(X), foldnet.load(plain)(X)) <= 1e-5
    scores = made.report.score
    assert (scores.original, scores.recalibrated, scores.finetuned) == (scores.converted, None, None)
    assert foldnet.evaluate("runs/soft").score == scores.original
    config = json.loads((plain.parent / "soft" / "config.json").read_text())
    digest = open_run(plain).digest("last")
    assert config["converted"] == {
        "run": "plain",
        "arch": "wrn-22-1",
        "checkpoint": "last",
        "sha256": digest,
        "templates": 4,
    }
    assert config["settings"]["arch"] == "swrn-22-1-4"


def test_a_converted_run_is_a_run_for_every_command(plain, cli):
    report = cli.done("convert", plain, "--templates", 2, "--out", "runs/soft", "--finetune", 1, "--control")
    assert (report["run"], report["source"], report["arch"]) == ("runs/soft", "plain", "swrn-22-1-2")
    names = {"original", "converted", "recalibrated", "finetuned", "low_rank", "low_rank_recalibrated"}
    assert {name for name, value in report["score"].items() if value is not None} == {
        *names,
        "low_rank_finetuned",
        "images",
    }
    assert report["kept"] == pytest.approx(0.5, abs=0.1)
    assert report["kept"] < report["low_rank_kept"]
    assert cli.done("evaluate", "runs/soft")["score"] == report["score"]["finetuned"]
    assert cli.done("train", "--resume", "--out", "runs/soft")["score"] == report["score"]["finetuned"]
    assert [len(group["layers"]) for group in cli.done("lsm", "runs/soft")["groups"]] == [4, 4, 4]
    fold = cli.done("fold", "runs/soft", "--threshold", 0.1, "--no-shares")["fold"]
    assert cli.done("verify", fold)["passed"] is True
    assert (plain.parent / "soft" / "best").is_dir()
    stored = json.loads((plain.parent / "soft" / "convert.json").read_text())
    assert {name: value for name, value in stored.items() if name != "sha256"} == report | {"run": "soft"}
    assert cli("convert", plain, "--templates", 2, "--out", "runs/soft", "--force", "--force").code == 0


def test_a_run_that_shares_is_converted_by_its_weights_and_by_outputs(plain):
    foldnet.convert(plain, templates=3, out="runs/soft")
    made = foldnet.convert("runs/soft", templates=2, metric="outputs")
    assert made.report.run == "runs/digits-swrn-22-1-2-converted"
    assert all(group.energy.outputs is not None for group in made.report.groups)
    assert foldnet.convert("runs/soft", templates=3).report.kept == pytest.approx(1.0)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_an_architecture_with_a_file_of_weights_is_converted(suffix, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    network = build("wrn-22-1", channels=1).eval()
    if suffix == "pth":
        torch.save({"state_dict": network.state_dict(), "epoch": 3}, "weights.pth")
    else:
        save_file(network.state_dict(), "weights.safetensors")
    given = ("--arch", "wrn-22-1", "--weights", f"weights.{suffix}", "--templates", 4, "-o", "runs/soft")
    report = cli.done("convert", *given)
    assert report["source"] == f"weights.{suffix}"
    assert relative(foldnet.load("runs/soft")(X), network(X)) <= 1e-5
    assert report["score"]["original"] == cli.done("evaluate")["score"]


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


def test_no_code_in_a_file_of_weights_is_run(tmp_path, capsys):
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(SettingError, match=r"is not a file of tensors alone that torch.load reads with weights_only"):
        read_weights(tmp_path / "evil.pth")
    torch.save({"a": 3}, tmp_path / "number.pth")
    with pytest.raises(SettingError, match=r"holds something else than tensors by name; save the network's state_dict"):
        read_weights(tmp_path / "number.pth")
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(SettingError, match=r"is no safetensors file \(.*\); give another$"):
        read_weights(tmp_path / "no.safetensors")
    with pytest.raises(SettingError, match=r"cannot be read \(.*\); check the path$"):
        read_weights(tmp_path / "missing.pth")
    assert capsys.readouterr().out == ""


def test_the_first_tensor_that_does_not_fit_is_named(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    state = build("wrn-22-2", channels=1).state_dict()
    save_file(state, "wider.safetensors")
    given = ("convert", "--arch", "wrn-22-1", "--templates", 2, "--weights")
    first = "tensor 'stage1.0.conv1.weight' has shape (32, 16, 3, 3) there and (16, 16, 3, 3) in the network"
    assert cli.refused(*given, "wider.safetensors") == f"--weights wider.safetensors does not fit wrn-22-1: {first}"
    state = build("wrn-22-1", channels=1).state_dict()
    save_file({name: tensor for name, tensor in state.items() if name != "stem.weight"}, "less.safetensors")
    missing = "tensor 'stem.weight' of shape (16, 1, 3, 3) is missing there"
    assert cli.refused(*given, "less.safetensors") == f"--weights less.safetensors does not fit wrn-22-1: {missing}"
    save_file(state | {"extra": torch.zeros(2)}, "more.safetensors")
    more = "it holds a tensor 'extra' of shape (2,), which the network has not"
    assert cli.refused(*given, "more.safetensors") == f"--weights more.safetensors does not fit wrn-22-1: {more}"


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({}, SettingError, "a conversion needs one of `templates` and `loops`; give `templates=4` or `loops=2`"),
        ({"templates": 2, "control": True}, SettingError, "`control=True` needs epochs to train; add `finetune=2`"),
        ({"templates": 5}, UnknownName, "architecture 'swrn-22-1-5' asks for 5 templates; depth 22 has 4 layers"),
        ({"loops": 2, "metric": "outputs"}, SettingError, "`metric='outputs'` is for `templates`; leave it out"),
        ({"templates": 2, "fit": 9}, SettingError, "`fit=9` is for `loops`; leave it out"),
        (
            {"loops": 2, "device": "cpu"},
            SettingError,
            "`loops=2` is not below the 2 equal blocks of 'stage1', the most that follow each other; give at most 1",
        ),
        (
            {"templates": 2, "batches": [X]},
            SettingError,
            "`batches` of this kind are for a network in memory; leave them out, or give the network",
        ),
        (
            {"templates": 2, "arch": "wrn-22-1"},
            SettingError,
            "run 'runs/plain' has an architecture, weights and data of its own; leave out `arch`, `weights` and",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(given, kind, said, plain):
    with pytest.raises(kind, match=f"^{said}"):
        foldnet.convert("runs/plain", **given)
    assert [path.name for path in plain.parent.iterdir()] == ["plain"]


def test_other_refusals(plain, cli):
    alone = "`arch='wrn-22-1'` needs `weights` beside it; give both, or a run"
    with pytest.raises(SettingError, match=f"^{alone}$"):
        foldnet.convert(arch="wrn-22-1", templates=2)
    with pytest.raises(OutputError, match=r"^'runs/plain' exists already"):
        foldnet.convert(plain, templates=2, out="runs/plain")
    said = "`finetune=1` needs a run and a network in memory has none; leave it out, or convert a run"
    with pytest.raises(SettingError, match=f"^{said}$"):
        foldnet.convert(foldnet.load(plain), templates=2, finetune=1)


@pytest.mark.parametrize("arch", ["wrn-22-1", "swrn-22-1-3", "cnn-20-4-recall", "scnn-20-4-2", "resnext-29-2x4"])
def test_a_blueprint_names_its_soft_network(arch):
    soft = blueprint(arch, classes=7).soft(2)
    assert (soft.templates, soft.classes, soft.plain.arch) == (2, 7, blueprint(arch).plain.arch)
    assert blueprint(soft.arch).templates == 2


def test_a_run_is_converted_to_loops_that_are_a_fold_like_any_other(plain, cli):
    report = cli.done("convert", plain, "--loops", 1, "--fit", 3, "--finetune", 1, "--out", "runs/looped")
    assert (report["fold"], report["loops"], report["source"]) == ("runs/looped/fold-1", 3, "plain")
    assert report["program"].count("2x { A }") == 3
    assert report["parameters"] < report["original_parameters"]
    assert report["error"] > 0
    assert cli.done("evaluate", "runs/looped/fold-1")["score"] == report["score"]["finetuned"]
    assert cli.done("verify", "runs/looped/fold-1")["passed"] is True
    assert cli("render", "graph", "runs/looped", "-o", "graph.dot").code == 0
    config = json.loads((plain.parent / "looped" / "config.json").read_text())
    converted = {"run": "plain", "loops": 1, "start": "average", "fit": 3, "finetune": 1}
    assert {name: config["converted"][name] for name in converted} == converted
    assert foldnet.load("runs/looped/fold-1")(X).shape == (2, 10)
