"""Promises about a fold's report, whatever stands in it: kept or broken, or it is no report."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from foldnet.program.data import Block, Loop, Program, Stage, Step, Use
from foldnet.program.text import program_text
from foldnet.proof.fold_report import FoldReport
from foldnet.proof.promises import (
    Promise,
    check_clusters,
    check_distances,
    check_report,
    check_settings,
    largest,
    owners_of,
)
from foldnet.store.codec import from_plain

ODD = (None, "x", -1, 2.5, True, [], {}, [[1]], {"a": 1}, 10**39)
SETTINGS = {
    "tie": "gain",
    "unit": "layer",
    "linkage": "complete",
    "checkpoint": "last",
    "keep": [],
    "ignore": [],
    "metric": None,
    "finetune": 0,
    "finetune_lr": None,
    "distill": True,
}
GAINS = {"stage1.0.conv": 1.0, "stage1.1.conv": -0.5}
GROUP = {"owners": 1, "templates": 2, "stored": 1, "weight_numbers": 9}
SIZES = {"soft": 180, "dense": 270, "folded": 90}
COUNTS = {f"parameters.{form}": size for form, size in SIZES.items()}
COUNTS |= {f"groups.stage1.{name}": number for name, number in GROUP.items()}
# What these say is compared elsewhere.
OTHERS = {"fold": None, "run": None, "threshold": None, "why": "", "metric": "weights", "bytes": SIZES}


def block(name: str) -> Block:
    return Block(name, "A", (Use(f"{name}.conv", "conv", "stage1", 0),))


@pytest.fixture
def program() -> Program:
    """Two blocks of one layer, both of which use one owner."""
    stage = Stage("stage1", (block("stage1.0"), block("stage1.1")), (Loop(2, (Step("A"),), "stage1.loop1"),))
    return Program((), (stage,), ())


@pytest.fixture
def report(program) -> Any:
    """What is said of it, truly."""
    layers = [{"name": layer, "owner": 0, "gain": gain, "error": 0.25} for layer, gain in GAINS.items()]
    return {
        "program": program_text(program),
        "loops": 1,
        "reuses": 1,
        "tie": "gain",
        "unit": "layer",
        "linkage": "complete",
        "checkpoint": "last",
        "kept": [],
        "ignored": [],
        "finetune": {"epochs": 0, "lr": None, "distill": True},
        "parameters": dict(SIZES),
        "groups": [{"name": "stage1", "clusters": [list(GAINS)], "layers": layers} | GROUP],
    }


def promises_of(plain: Any, program: Program) -> list[Promise]:
    """All that can be checked of a report alone. Raises ValueError where it is none."""
    report = from_plain(FoldReport, plain | OTHERS if isinstance(plain, dict) else plain)
    return [
        *check_report(report, program, COUNTS, GAINS),
        check_distances(report, dict.fromkeys(GAINS, 0.25)),
        check_clusters(report, program),
        check_settings(report, SETTINGS, "last"),
    ]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every entry."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def test_a_true_report_keeps_every_promise(program, report):
    assert [promise.name for promise in promises_of(report, program) if not promise.held] == []
    assert owners_of(program) == {"stage1": dict.fromkeys(GAINS, 0)}


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_whatever_a_report_says_in_one_place_breaks_a_promise_or_makes_it_none(program, report, odd):
    for place in range(len(list(places(report)))):
        edited = copy.deepcopy(report)
        holder, key = list(places(edited))[place]
        if holder[key] == odd:
            continue
        holder[key] = odd
        try:
            promises = promises_of(edited, program)
        except ValueError:
            continue
        assert not all(promise.held for promise in promises), (key, odd)


@pytest.mark.parametrize("report", ODD, ids=str)
def test_what_is_no_report_is_read_as_none(program, report):
    with pytest.raises(ValueError, match=r"^(expected object, got|object missing required field)"):
        promises_of(report, program)


def test_what_is_not_a_number_is_larger_than_any():
    assert str(largest([1.0, float("nan"), 2.0])) == "nan"
    assert largest([]) == 0.0
