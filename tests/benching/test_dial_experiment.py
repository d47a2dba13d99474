"""The dial as an experiment: one loaded network gives at every setting what one loaded anew gives, and nothing is read twice."""

import pytest
import torch

from foldnet.benching.dial import dial_of
from foldnet.data.sources import Digits
from foldnet.folding.opening import load, open_network
from foldnet.folding.recalibrate import recalibrate
from foldnet.training.evaluate import evaluate as score
from foldnet.training.machine import choose_machine
from foldnet.training.runs import open_run
from foldnet.training.session import loader_of, split_of_run, training_loader
from foldnet.verbs.evaluate import evaluate

FOLD = "runs/tied/fold-0.95"


@pytest.fixture
def machine():
    return choose_machine("cpu", "fp32")


@pytest.fixture
def reads(monkeypatch):
    """How often data were loaded."""
    found = []
    read = Digits.images
    monkeypatch.setattr(Digits, "images", lambda source, asked: found.append(asked) or read(source, asked))
    return found


def test_what_came_before_changes_no_score(shelf, machine):
    model, run, _ = open_network(shelf / FOLD)
    dial = dial_of(model, run, machine, anew=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = [
        ({}, False, False),
        ({"stage3.loop1": 6}, True, False),
        ({"stage3.loop1": 6}, False, True),
        ({}, True, False),
    ]
    forwards = [dial.score(trips, anew=anew, damped=damped)[0].loss for trips, anew, damped in settings]
    backwards = [dial.score(trips, anew=anew, damped=damped)[0].loss for trips, anew, damped in reversed(settings)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 3
    assert forwards[0] == pytest.approx(forwards[3])  # the fold was recalibrated on the same images
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_setting_is_scored_as_by_hand(shelf, machine):
    model, run, _ = open_network(shelf / FOLD)
    found = dial_of(model, run, machine, anew=True).score({"stage3.loop1": 4}, anew=True)[0]
    by_hand = load(FOLD)
    by_hand.set_trips({"stage3.loop1": 4}, own_steps=True)
    dataset, split = split_of_run(run)
    recalibrate(by_hand, training_loader(dataset, split.train, run.settings, machine, 128), machine)
    wanted = score(by_hand, loader_of(dataset, dataset.test, 128, machine), machine)
    assert (found.counts, found.loss) == (wanted.counts, pytest.approx(wanted.loss, rel=1e-6))


def test_data_are_loaded_once(shelf, machine, reads):
    report = evaluate(FOLD, recalibrated=True, device="cpu")
    assert report.recalibrated
    assert len(reads) == 1
    dial = dial_of(open_run(shelf / "runs/soft").load()[0], open_run(shelf / "runs/soft"), machine)
    assert len(reads) == 2
    assert dial.train is None
