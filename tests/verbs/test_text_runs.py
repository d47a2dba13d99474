"""Decoders of bytes go the whole way through the command line: trained, compared, folded, proven, measured and drawn."""

import json
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import foldnet
from foldnet.data.text import read_place
from foldnet.errors import DataError
from foldnet.training.checkpoint import read_metrics
from foldnet.training.observer import Silent
from foldnet.zoo.blueprint import blueprint

LINE = b"All the world's a stage, And all the men and women merely players; They have their exits.\n"
OWN = {"dataset": "text", "context": 16, "data_dir": "text.txt", "batch_size": 16}
TINY = {"arch": "sgpt-3-16-2-2", "epochs": 2, "precision": "fp32", "device": "cpu"} | OWN
ALIKE = {"recurrence": 20.0, "recurrence_form": "loops", "lr": 0.02}
DATA = ("--data-dir", "text.txt")
TIMES = ("seconds", "images_per_second", "waited")


def write_text(folder: Path) -> None:
    (folder / "text.txt").write_bytes(LINE * 40)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """runs/a, whose layers came to be alike, with its fold."""
    home = tmp_path_factory.mktemp("text")
    write_text(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        foldnet.train(out="runs/a", **TINY | ALIKE | {"epochs": 3})
        foldnet.fold("runs/a", threshold=0.0, out="runs/a/fold", data_dir=Path("text.txt"))
    return home


@pytest.fixture
def here(shelf, monkeypatch) -> Path:
    monkeypatch.chdir(shelf)
    return shelf


def test_training_brings_the_familys_recipe_and_says_bits_per_byte(cli, here):
    settings = json.loads(Path("runs/a/config.json").read_text())["settings"]
    recipe = {"optimiser": "adamw", "schedule": "cosine", "warmup": 0.05, "weight_decay": 0.1}
    assert recipe.items() <= settings.items()
    assert settings["source"] == {"name": "text", "context": 16}
    assert settings["data_dir"] is None
    report = json.loads(Path("runs/a/report.json").read_text())
    named = {"measure": "bits per byte", "better": "lower", "test_accuracy": None, "best_validation_accuracy": None}
    counted = {"test_right": None, "test_scored": 359, "test_images": 23}
    assert (named | counted).items() <= report.items()
    lines = read_metrics(Path("runs/a"))
    scores = [line["validation_score"] for line in lines]
    assert (report["best_score"], report["best_epoch"]) == (min(scores), scores.index(min(scores)) + 1)
    assert all(line["lr"] > later["lr"] for line, later in pairwise(lines))
    shown = cli("train", "--resume", "--out", "runs/a").out
    assert f"test             bits per byte {report['score']:.4f} (359 bytes in 23 windows), last epoch\n" in shown


@torch.no_grad()
def test_the_score_is_that_of_a_slow_reader(cli, here):
    """Window by window, byte by byte: the sum of -log2 p, by the bytes."""
    content = torch.tensor(list(read_place(Path("text.txt"))))
    test, model = content[len(content) - len(content) // 10 :], foldnet.load("runs/a")
    bits = 0.0
    for start in range(0, len(test) - 1, 16):
        window = test[start : start + 17]
        for length in range(1, len(window)):
            p = F.softmax(model(window[None, :length])[0, -1].double(), 0)[window[length]]
            bits -= math.log2(p)
    evaluated = cli.done("evaluate", "runs/a", *DATA)
    assert evaluated["score"] == pytest.approx(bits / (len(test) - 1), rel=1e-5)
    assert {"accuracy": None, "right": None, "scored": len(test) - 1, "images": 23}.items() <= evaluated.items()


def test_they_are_compared_folded_proven_and_measured(cli, here):
    similar = cli.done("lsm", "runs/a")
    assert [group["name"] for group in similar["groups"]] == [
        "blocks-48x16",
        "blocks-16x16",
        "blocks-64x16",
        "blocks-16x64",
    ]
    report = json.loads(Path("runs/a/fold/report.json").read_text())
    assert (report["loops"], report["program"].splitlines()[0]) == (1, "blocks: 3x { A }")
    assert (report["measure"], report["better"], report["accuracy"]["tied"]) == ("bits per byte", "lower", None)
    assert report["score"]["recalibrated"] == report["score"]["tied"]
    assert report["proof"]["inputs"] == "test"
    assert cli.done("verify", "runs/a/fold", *DATA)["passed"] is True
    unseen = cli("verify", "runs/a/fold", "--no-data", "--json")  # random bytes alone
    certificate = json.loads(unseen.out)
    assert (unseen.code, [found["inputs"] for found in certificate["inputs"]]) == (3, ["random"])
    assert certificate["relative_difference"]["looped"] <= 1e-5
    assert all(promise["held"] for promise in certificate["promises"])
    folded = cli.done("evaluate", "runs/a/fold", *DATA)
    assert folded["score"] == pytest.approx(report["score"]["tied"], rel=1e-6)
    assert cli.done("info", "runs/a/fold")["program"] == report["program"]
    measured = cli.done("bench", "inference", "runs/a/fold", "--batch-sizes", 2, "--repeats", 1, "--threads", 1)
    assert (measured["image"], measured["results"]["looped"]["parameters"]) == ([16], report["parameters"]["folded"])
    shown = cli("bench", "inference", "runs/a/fold", "--batch-sizes", 2, "--repeats", 1, "--threads", 1).out
    assert "windows/s" in shown
    assert "sgpt-3-16-2-2, 16 windows, fp32" in shown
    bench = ("bench", "train", "--arch", "sgpt-2-16-2-1", "--batch-size", 2, "--steps", 1, "--compile", "off")
    assert cli.done(*bench)["image"] == [128]
    assert "windows/s" in cli(*bench).out


def test_there_is_nothing_to_recalibrate_and_it_is_said(cli, here):
    said = "the network has no batch norm, so that there is nothing to recalibrate"
    anew = cli("evaluate", "runs/a", "--recalibrate", *DATA)
    assert said in anew.err.replace("\n", " ")
    assert "batch norm" not in anew.out
    assert cli.done("evaluate", "runs/a", "--recalibrate", *DATA)["recalibrated"] is False
    again = cli("fold", "runs/a", "--threshold", 0.9, "--dry-run", *DATA)
    assert f"{said}: recalibrated is as tied" in " ".join(again.err.split())


@pytest.mark.parametrize(
    ("picture", "of"), [("graph", "runs/a/fold"), ("fold", "runs/a/fold"), ("sharing", "runs/a"), ("lsm", "runs/a")]
)
def test_it_is_drawn(cli, here, tmp_path, picture, of):
    cli.done("render", picture, of, "-o", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_its_dial_turns(cli, here, tmp_path):
    depth = cli.done("render", "depth", "runs/a/fold", "-o", tmp_path / "depth.svg", *DATA)
    points = {point["steps"]: point["score"] for point in depth["loops"][0]["accuracy"]}
    assert (depth["measure"], depth["better"], sorted(points)) == ("bits per byte", "lower", list(range(7)))
    found = cli.done("evaluate", "runs/a/fold", "--steps", "blocks.loop1=5", *DATA)["score"]
    assert points[5] == pytest.approx(found)
    assert cli.done("evaluate", "runs/a/fold", "--steps", "blocks.loop1=5", "--damped", *DATA)["score"] != found


def test_a_drop_is_in_bits_and_the_sweep_is_drawn(cli, here, tmp_path):
    swept = cli.done("fold", "runs/a", "--sweep", "--no-shares", *DATA)
    points = swept["units"]["layer"]
    soft, least = swept["score"]["soft"], min(point["stored_numbers"] for point in points)
    room = max(point["score"] for point in points) - soft
    folded = cli.done("fold", "runs/a", "--max-drop", f"{max(room, 0) + 0.01:.4f}", "--dry-run", *DATA)
    assert sum(group["stored"] * group["weight_numbers"] for group in folded["groups"]) == least
    assert folded["why"].endswith("points of the soft network's validation bits per byte")
    strict = cli.done("fold", "runs/a", "--max-drop", "0.02", "--dry-run", *DATA)
    assert strict["validation_score"] <= soft + 0.02
    cli.done("render", "sweep", "runs/a", "-o", tmp_path / "sweep.svg")


def test_fine_tuning_and_training_like_a_fold_go_by_the_same_recipe(cli, here, tmp_path):
    tuned = cli.done("fold", "runs/a", "--threshold", 0.9, "--finetune", 1, "--distill", "--dry-run", *DATA)
    assert tuned["score"]["finetuned"] < math.log2(256)
    like = cli.done("train", "--like", "runs/a/fold", "--epochs", 1, "--out", tmp_path / "like", *DATA)
    assert (like["tied"], like["arch"]) == (True, "sgpt-3-16-2-2")


class Stopping(Silent):
    """Asks for the end after so many steps of training."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, steps: int = 1) -> None:
        self.left -= steps

    def wants_stop(self) -> bool:
        return self.left <= 0


def history(folder: str) -> list[dict]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in read_metrics(Path(folder))]


def test_a_stopped_training_goes_on_to_the_bit_and_can_be_made_longer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path)
    train = {"checkpoint_every": 0, **TINY}
    foldnet.train(out="whole", **train)
    with pytest.raises(KeyboardInterrupt):
        foldnet.train(out="parts", observer=Stopping(5), **train)
    foldnet.train(out="parts", resume=True, data_dir="text.txt")
    assert history("parts") == history("whole")
    for name, tensor in foldnet.load("whole").state_dict().items():
        assert torch.equal(tensor, foldnet.load("parts").state_dict()[name])
    for out in ("whole", "parts"):
        if out == "parts":
            with pytest.raises(KeyboardInterrupt):
                foldnet.train(out=out, resume=True, epochs=4, data_dir="text.txt", observer=Stopping(3))
        foldnet.train(out=out, resume=True, epochs=4, data_dir="text.txt")
    assert history("parts") == history("whole")
    rates = [line["lr"] for line in history("whole")]
    assert rates[2] > rates[1]  # from there on by the wave of four epochs
    assert rates[3] < rates[2]


def test_a_plain_decoder_trains_and_is_compared_by_its_weights(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path)
    own = ("--arch", "gpt-2-16-2", "--dataset", "text", "--context", 16, "--dropout", 0.1)
    said = cli("train", *own, "--epochs", 1, "--device", "cpu", "--out", "runs/a", *DATA).err
    assert re.search(
        r"^epoch   1  loss \d\.\d{4}  train \d\.\d{3} bits  val \d\.\d{3} bits  \d+ s ", said, re.MULTILINE
    )
    report = cli.done("train", "--resume", "--out", "runs/a")
    assert (report["arch"], report["measure"]) == ("gpt-2-16-2", "bits per byte")
    assert cli.done("lsm", "runs/a")["metric"] == "weights"
    assert "bits per byte" in cli("runs").out
    assert cli.done("evaluate", "runs/a", *DATA)["score"] == pytest.approx(report["score"], rel=1e-5)
    other = Path("other.txt")
    other.write_bytes(LINE * 41)
    said = "the data are not those that run 'runs/a' was trained on (their hash differs); give the original place with --data-dir"
    assert cli.refused("evaluate", "runs/a", "--data-dir", other) == said


def test_what_does_not_go_together_is_refused(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path)
    text = ("train", "--dataset", "text", *DATA)
    assert cli.refused(*text, "--context", 400) == (
        "'text.txt' has 3,600 bytes, 324 of them to choose by, and --context 400 needs more; give a longer text or a "
        "shorter context"
    )
    assert cli.refused(*text, "--arch", "swrn-28-2-4") == (
        "--arch swrn-28-2-4 answers for classes and text asks for bytes; choose one such as sgpt-8-128-4-4 or gpt-8-128-4"
    )
    assert cli.refused("train", "--arch", "sgpt-8-128-4-4") == (
        "--arch sgpt-8-128-4-4 answers for bytes and digits asks for classes; choose one such as swrn-28-2-4 or wrn-28-2"
    )
    assert cli.refused(*text, "--cutout", 4) == "--cutout 4 has no place in 'sgpt-8-128-4-4'; leave it out"
    assert cli.refused(*text, "--warmup", 1) == "--warmup 1.0 is not legal; give a number from 0 to 0.99"
    assert cli.refused("train", "--context", 64) == (
        "--context 64 has no meaning for digits; leave it out or use --dataset text"
    )
    with pytest.raises(DataError):
        foldnet.train(**TINY | {"data_dir": "absent.txt"})


def test_random_inputs_are_legal_bytes():
    built = blueprint("sgpt-2-16-2", size=9)
    x = built.random_inputs(5, 0)
    assert (x.shape, x.dtype, built.shape) == ((5, 9), torch.int64, (9,))
    assert 0 <= int(x.min()) <= int(x.max()) < 256
    assert torch.equal(x, built.random_inputs(5, 0))
    assert blueprint("swrn-28-2-4", channels=1, size=8).random_inputs(5, 0).shape == (5, 1, 8, 8)
