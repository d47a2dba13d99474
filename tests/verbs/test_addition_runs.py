"""Decoders that add go the whole way through the command line: trained, folded into a loop, turned, scored on longer
numbers."""

import json

import pytest
import torch

import foldnet
from foldnet.data.addition import other_sums
from foldnet.training.checkpoint import read_metrics
from foldnet.training.observer import Silent
from foldnet.training.other_grids import OtherGrids
from foldnet.zoo.recorded import blueprint_in

TINY = {"dataset": "addition", "length": 2, "examples": 120, "test_examples": 30, "validation": 20, "device": "cpu"}
BY_HAND = {"arch": "sgpt-3-16-2-1-abacus", "coefficients": "fixed", "batch_size": 30}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A loop by hand, trained for a few steps, with its fold, and a plain decoder of learnt places beside it."""
    folder = tmp_path_factory.mktemp("sums") / "run"
    foldnet.train(out=folder, epochs=2, observer=Silent(), **TINY, **BY_HAND)
    foldnet.fold(folder, shares=False, out=folder / "fold", evaluated=False, observer=Silent())
    foldnet.train(out=folder.with_name("learnt"), arch="gpt-1-8-2", epochs=1, observer=Silent(), **TINY)
    return folder


def test_training_brings_its_recipe_and_counts_sums(cli, run):
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["source"] == {"name": "addition", "length": 2, "examples": 120, "test_examples": 30}
    assert config["network"]["task"] == "sums"
    assert json.loads((run / "fold" / "config.json").read_text())["network"]["task"] == "sums"
    report = json.loads((run / "report.json").read_text())
    assert {
        "measure": "exact match",
        "better": "higher",
        "test_images": 30,
        "test_scored": 90,
    }.items() <= report.items()
    lines = read_metrics(run)
    assert report["best_score"] == max(line["validation_score"] for line in lines)
    assert f"({report['test_right']} of 30), last epoch" in cli("train", "--resume", "--out", run).out


def test_a_loop_by_hand_folds_into_one_loop_that_runs_longer_on_longer_numbers(cli, run):
    report = json.loads((run / "fold" / "report.json").read_text())
    assert report["program"].splitlines()[0] == "blocks: 3x { A }"
    found = cli.done("evaluate", run / "fold", "--steps", "blocks.loop1=8", "--length", 12, "--count", 40)
    assert (found["data"], found["images"], found["scored"]) == ("40 sums of numbers of 12 digits", 40, 40 * 13)
    assert found["steps"] == {"blocks.loop1": 8}
    shown = cli("evaluate", run / "fold", "--steps", "blocks.loop1=8", "--length", 12, "--count", 40).out
    assert f"{100 * found['share_within']:.2f} % of 520 right" in shown
    assert cli.done("verify", run / "fold")["passed"] is True
    damped = cli.done("evaluate", run / "fold", "--steps", "blocks.loop1=8", "--damped", "--length", 12, "--count", 40)
    assert damped["loss"] != found["loss"]


@torch.no_grad()
def test_sums_are_scored_as_greedy_decoding_has_them(run):
    """Up to the first wrong byte: told one by one, each from those told before, and all at once from the right ones."""
    model, digits = foldnet.load(run / "fold"), 2
    test = other_sums(digits, 300, seed=0).test
    x, y = test.pixels[:, 0].long(), test.labels
    asked = y[:, -digits - 1 :]
    text = x[:, : 2 * digits + 2]
    for _ in range(digits + 1):
        text = torch.cat([text, model(text)[:, -1].argmax(1, keepdim=True)], 1)
    greedy, at_once = text[:, -digits - 1 :] == asked, model(x)[:, -digits - 1 :].argmax(2) == asked
    leading = greedy.long().cumprod(1)
    assert torch.equal(leading, at_once.long().cumprod(1))
    assert 0 < leading.sum() < leading.numel()
    report = foldnet.evaluate(run / "fold", grids=OtherGrids(length=digits, count=300), observer=Silent())
    assert (report.right, report.share_within) == (int(greedy.all(1).sum()), int(at_once.sum()) / at_once.numel())


def test_a_stopped_training_draws_the_same_places_again(run, tmp_path):
    class Stopping(Silent):
        left = 3

        def advance(self, steps: int = 1) -> None:
            self.left -= steps

        def wants_stop(self) -> bool:
            return self.left <= 0

    given = {"epochs": 2, "checkpoint_every": 0, **TINY, **BY_HAND}
    with pytest.raises(KeyboardInterrupt):
        foldnet.train(out=tmp_path / "parts", observer=Stopping(), **given)
    foldnet.train(out=tmp_path / "parts", resume=True, observer=Silent())
    for name, tensor in foldnet.load(run).state_dict().items():
        assert torch.equal(tensor, foldnet.load(tmp_path / "parts").state_dict()[name])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("evaluate RUN --length 1", "--length 1 is not legal; give a whole number from 2 to 31"),
        ("evaluate RUN --length 32", "--length 32 is not legal; give a whole number from 2 to 31"),
        (
            "evaluate RUN --length 2 --count 10001",
            "--count 10001 is more than the 10,000 sums of numbers of 2 digits; ask for fewer, or for a greater --length",
        ),
        ("evaluate RUN --grid 9", "--grid 9 has no meaning for addition; leave it out"),
        ("evaluate RUN --dataset prefix-sums", "--dataset prefix-sums has no sums; choose addition"),
        (
            "evaluate learnt --length 3",
            "sums of numbers of 3 digits have 11 bytes and 'gpt-1-8-2' has learnt places for 8; give a smaller --length, or "
            "train 'gpt-1-8-2-abacus', whose places are those of digits in their numbers",
        ),
        (
            "train --dataset addition --length 2 --test-examples 9000 --validation 1000",
            "--test-examples 9000 and 1000 sums to choose by are not fewer than the 10,000 of numbers of 2 digits, so that "
            "none is left to train on; ask for fewer, or for a greater --length",
        ),
        (
            "train --dataset addition --arch scnn1d-3-4-1",
            "--arch scnn1d-3-4-1 answers for bits and addition asks for sums; choose one such as sgpt-8-128-4-4 or "
            "gpt-8-128-4",
        ),
        ("train --dataset addition --progressive 0.5", "--progressive 0.5 has no place in 'sgpt-2-64-4-1-abacus'; leave it out"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_one_sentence(cli, run, monkeypatch, arguments, said):
    monkeypatch.chdir(run.parent)
    assert cli.refused(*arguments.replace("RUN", "run").split()) == said


def test_a_task_that_no_such_network_answers_for_is_not_read():
    network = {"classes": 256, "channels": 1, "size": 8}
    assert blueprint_in(network | {"task": "sums"}, "gpt-1-8-2").task == "sums"
    assert blueprint_in(network, "gpt-1-8-2").task == "bytes"
    with pytest.raises(ValueError, match=r"^'task' is 'cells', which 'gpt-1-8-2' does not answer for$"):
        blueprint_in(network | {"task": "cells"}, "gpt-1-8-2")
