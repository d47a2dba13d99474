"""Networks that answer for the bits of strings, through the command line: trained, folded, turned, scored on other lengths."""

import pytest
import torch

import foldnet
from foldnet.data.bits import other_bits
from foldnet.training.observer import Silent

QUICK = {"epochs": 1, "batch_size": 50, "optimiser": "adam", "lr": 0.01, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A soft run of one template, with a fold that loops."""
    folder = tmp_path_factory.mktemp("strings") / "run"
    foldnet.train(
        dataset="prefix-sums", arch="scnn1d-3-4-1-recall", length=6, examples=100, test_examples=20, validation=10,
        out=folder, observer=Silent(), **QUICK,
    )  # fmt: skip
    foldnet.fold(folder, threshold=0.0, out=folder / "fold", evaluated=False, observer=Silent())
    return folder


def test_other_strings_are_scored_whole_and_bit_by_bit(cli, run):
    report = cli.done("evaluate", run / "fold", "--length", 40, "--count", 30, "--steps", "body.loop1=9")
    model = foldnet.load(run / "fold")
    model.set_trips({"body.loop1": 9})
    test = other_bits(40, 30, seed=0).test
    with torch.no_grad():
        right = (model(test.pixels.float()) > 0) == test.labels
    assert (report["right"], report["images"], report["scored"]) == (int(right.all(1).sum()), 30, 1200)
    assert report["share_within"] == pytest.approx(right.float().mean().item())
    assert report["score"] == report["accuracy"] == report["right"] / 30
    assert (report["measure"], report["data"]) == ("exact match", "30 strings of 40 bits")
    assert "of 1,200 right" in cli("evaluate", run / "fold", "--length", 40, "--count", 30).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("evaluate RUN --length 1", "--length 1 is not legal; give a whole number from 2 to 65536"),
        ("evaluate RUN --count 0", "--count 0 is not legal; give a whole number from 1 to 100000000"),
        ("evaluate RUN --grid 9", "--grid 9 has no meaning for prefix-sums; leave it out or change --dataset"),
        ("evaluate RUN --dataset paths", "--dataset paths has no strings; choose prefix-sums"),
        (
            "render paths RUN",
            "run 'RUN' was trained on prefix-sums, which has no grids; name one that was trained on paths or mazes",
        ),
        ("train --dataset prefix-sums --length 1", "--length 1 is not legal; give a whole number from 2 to 65536"),
        (
            "train --dataset prefix-sums --arch scnn-3-4-1",
            "--arch scnn-3-4-1 answers for cells and prefix-sums asks for bits; choose one such as scnn1d-20-32-20 or "
            "cnn1d-20-32",
        ),
        ("train --length 8", "--length 8 has no meaning for digits; leave it out or use --dataset prefix-sums"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(cli, run, monkeypatch, arguments, said):
    monkeypatch.chdir(run.parent)
    assert cli.refused(*arguments.replace("RUN", "run").split()) == said.replace("RUN", "run")


def test_a_looped_network_of_strings_verifies(cli, run):
    assert cli.done("verify", run / "fold")["passed"] is True
