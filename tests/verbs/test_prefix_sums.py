"""Networks that answer for the bits of strings, through the command line: trained, folded, turned, scored on other lengths."""

import json

import pytest
import torch

import foldnet
from foldnet.data.bits import other_bits
from foldnet.errors import SettingError
from foldnet.sharing.share import materialise
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run

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
        ("evaluate RUN --grid 9", "--grid 9 has no meaning for prefix-sums; leave it out"),
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


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """A loop by hand, as the preset trains it, for a few steps."""
    folder = tmp_path_factory.mktemp("hand") / "run"
    foldnet.train(
        dataset="prefix-sums", arch="scnn1d-4-8-1-recall", coefficients="fixed", length=8, examples=200, test_examples=50,
        validation=20, epochs=2, step_scale=2.0, fixed_point=0.1, deep_supervision=0.2, device="cpu", out=folder,
        observer=Silent(),
    )  # fmt: skip
    return folder


def test_a_loop_by_hand_folds_into_one_owner_a_place_used_as_it_is(by_hand):
    run = open_run(by_hand)
    assert (run.settings.norm, run.settings.step_scale, run.blueprint.options.norm) == ("rms", 2.0, "rms")
    soft = foldnet.load(by_hand)
    assert all((bank.coefficients == 1).all() for bank in soft.sources.values())
    report = foldnet.fold(by_hand, out=by_hand / "fold", shares=False, dial=True, observer=Silent()).report
    assert report.program == "body: 4x { A }\n  A = { conv1: body-8x9x3.a, conv2: body-8x8x3.a }"
    assert {layer.gain for layer in report.layers.values()} == {1.0}
    assert {layer.error for layer in report.layers.values()} == {0.0}
    (verdict,) = report.dial
    assert (verdict.name, verdict.found, verdict.margin) == ("body.loop1", 4, 0.01)
    assert [trips for trips, _ in verdict.longer] == [trips for trips, _ in verdict.finer] == [6, 8, 12, 16]
    assert verdict.once == foldnet.evaluate(by_hand / "fold", steps={"body.loop1": 1}, observer=Silent()).score
    damped = foldnet.evaluate(by_hand / "fold", steps={"body.loop1": 16}, damped=True, observer=Silent()).score
    assert verdict.finer[-1] == (16, damped)
    assert json.loads((by_hand / "fold" / "report.json").read_text())["dial"] is None
    assert foldnet.verify(by_hand / "fold", observer=Silent()).passed


def test_a_fold_without_norms_computes_what_the_soft_network_does_at_any_number_of_trips(by_hand):
    foldnet.fold(by_hand, out=by_hand / "again", evaluated=False, observer=Silent())
    looped, soft = foldnet.load(by_hand / "again"), foldnet.load(by_hand)
    x = torch.rand(3, 1, 20)
    torch.testing.assert_close(looped(x), soft(x), rtol=1e-5, atol=1e-6)
    body, state = materialise(soft).body, torch.cat([soft.network.stem(x), x], 1)
    for _ in range(7):
        state = body[0](state)
    looped.set_trips({"body.loop1": 7})
    torch.testing.assert_close(looped(x), soft.network.head(state[:, :8])[:, 0], rtol=1e-5, atol=1e-6)
    looped.set_trips({"body.loop1": 0})
    torch.testing.assert_close(looped(x), soft.network.head(soft.network.stem(x))[:, 0], rtol=1e-5, atol=1e-6)


def test_a_dial_without_a_loop_says_so(cli, by_hand, tmp_path):
    foldnet.train(
        dataset="prefix-sums", arch="scnn1d-2-4-2-recall", length=4, examples=50, test_examples=10, validation=0, epochs=1,
        device="cpu", out=tmp_path / "run", observer=Silent(),
    )  # fmt: skip
    told = cli("fold", tmp_path / "run", "--threshold", 1, "--no-shares", "--dial", "--dry-run")
    assert "the program has no loop, so that the dial has nothing to turn" in " ".join(told.err.split())


def test_strings_that_repeat_are_said_to(cli, run):
    data = {count: cli.done("evaluate", run / "fold", "--length", 4, "--count", count)["data"] for count in (16, 17)}
    assert data == {16: "16 strings of 4 bits", 17: "17 strings of 4 bits, of which 16 are different"}


def test_a_dial_needs_data(by_hand):
    with pytest.raises(SettingError, match=r"^`dial=True` needs test scores, and `evaluated=False` reads none; leave"):
        foldnet.fold(by_hand, dial=True, evaluated=False)
    with pytest.raises(SettingError, match=r"^`dial=True` needs test data, and a network in memory has none; leave it"):
        foldnet.fold(foldnet.load(by_hand), dial=True)
