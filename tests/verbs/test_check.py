"""The checks of a machine as a whole: what becomes of what they measure, raise and find missing."""

import math

import pytest

from foldnet.errors import SettingError, TrainingDiverged, UnknownName
from foldnet.store.codec import to_plain
from foldnet.training.observer import Silent
from foldnet.verbs import check as module
from foldnet.verbs.check import Check, check
from foldnet.verbs.checks.parts import NotHere, Part

GOOD, BAD = Part("outputs", 0.01, 0.05), Part("gradients", 0.4, 0.2)


@pytest.fixture
def play(monkeypatch):
    """Plays other checks and runs them: play(name=parts or an exception)."""

    def run(**given):
        def made(what):
            def measure(machine):
                if isinstance(what, BaseException):
                    raise what
                return what

            return measure

        monkeypatch.setattr(module, "CHECKS", {name: made(what) for name, what in given.items()})
        return check("cpu")

    return run


@pytest.mark.parametrize(
    ("what", "outcome", "why"),
    [
        ((GOOD,), "ok", None),
        ((GOOD, BAD), "failed", "beyond the limit: gradients"),
        ((Part("outputs", math.nan, 1.0),), "failed", "beyond the limit: outputs"),
        ((Part("speed", 0.4, 0.5, at_least=True),), "failed", "beyond the limit: speed"),
        ((Part("speed", 0.6, 0.5, at_least=True),), "ok", None),
        (NotHere("a CPU has no CUDA graphs"), "not here", "a CPU has no CUDA graphs"),
        (TrainingDiverged("the loss of epoch 1 is nan"), "failed", "the loss of epoch 1 is nan"),
        (ZeroDivisionError("by zero\nin a kernel"), "failed", "unexpected ZeroDivisionError: by zero"),
    ],
)
def test_what_a_check_comes_to(play, what, outcome, why):
    found = play(one=what, other=(GOOD,))
    assert [(entry.outcome, entry.why) for entry in found.checks] == [(outcome, why), ("ok", None)]
    assert found.exit_status == (1 if outcome == "failed" else 0)


def test_a_ctrl_c_is_no_failure_of_a_check(play):
    with pytest.raises(KeyboardInterrupt):
        play(one=KeyboardInterrupt())


def test_the_report_as_plain_data_names_the_part_that_is_closest_to_its_limit(play):
    found = play(bf16=(GOOD, BAD), graphs=NotHere("none")).to_json()
    assert found["checks"][0] == {
        "name": "bf16",
        "outcome": "failed",
        "value": 0.4,
        "limit": 0.2,
        "seconds": found["checks"][0]["seconds"],
        "why": "beyond the limit: gradients",
        "parts": [
            {"what": "outputs", "value": 0.01, "limit": 0.05, "rule": "at most", "held": True},
            {"what": "gradients", "value": 0.4, "limit": 0.2, "rule": "at most", "held": False},
        ],
    }
    assert [found["checks"][1][key] for key in ("value", "limit", "parts")] == [None, None, []]
    assert (found["passed"], found["device"], found["skipped"]) == (False, "cpu", [])
    assert set(found["checks"][1]) == set(found["checks"][0])


def closest(*parts):
    return Check("one", "failed", parts, 1.0).closest


def test_a_part_that_is_not_finite_is_null_in_plain_data_and_furthest_beyond_its_limit():
    wrong = Part("loss", math.inf, 1.0)
    assert to_plain(wrong)["value"] is None
    assert closest(BAD, wrong, GOOD) is wrong
    assert closest(BAD, Part("loss", math.nan, 1.0)).what == "loss"
    assert closest(Part("tensors", 0, 0), GOOD) is GOOD
    assert closest(Part("tensors", 3, 0), BAD).what == "tensors"
    assert closest(GOOD, Part("speed", 0.6, 0.5, at_least=True)).what == "speed"


def test_a_notebook_shows_a_row_for_each_part(play):
    (table,) = play(bf16=(GOOD, BAD), graphs=NotHere("none")).tables()
    assert table.rows == (
        ("bf16", "outputs", "ok", "0.01", "at most 0.05"),
        ("bf16", "gradients", "failed", "0.4", "at most 0.2"),
        ("graphs", "", "not here", "", ""),
    )


def test_whoever_watches_sees_each_check(play):
    said = []

    class Watching(Silent):
        def begin(self, task, total, part=0, parts=1):
            said.append((task, part, parts))

        def note(self, sentence):
            said.append(sentence.split(",")[0])

    play(one=(GOOD,), other=NotHere("none"))
    check("cpu", skip=(), observer=Watching())
    assert said == [("check one", 0, 2), "one: ok", ("check other", 1, 2), "other: not here"]


@pytest.mark.parametrize(
    ("skip", "kind", "sentence"),
    [
        (
            ("resum",),
            UnknownName,
            "check 'resum' does not exist; did you mean 'resume'?; the checks are fp32, forms, memory-format, bf16, "
            "resume, throughput, processes, compile, cuda-graphs",
        ),
        (
            tuple(module.CHECKS),
            SettingError,
            "`skip` leaves out every check, so that nothing would be known; name fewer",
        ),
    ],
)
def test_what_cannot_be_left_out(skip, kind, sentence):
    with pytest.raises(kind) as caught:
        check("cpu", skip=skip)
    assert str(caught.value) == sentence
