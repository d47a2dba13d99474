"""Records as plain data and back: what is written, and what is refused when it is read."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.store.codec import Count, Share, from_plain, to_plain


class Turn(NamedTuple):
    steps: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Part:
    count: Count
    share: Share = 0.5
    clusters: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    computed: ClassVar = ("double", "device=machine.device", "first=part.count", "none=nothing.at.all")
    unwritten: ClassVar = ("machine", "nothing")
    name: str
    part: Part
    machine: dict[str, str] = field(default_factory=lambda: {"device": "cpu"})
    nothing: Part | None = None

    @property
    def double(self) -> int:
        return 2 * self.part.count


def test_fields_and_what_is_named_beside_them_are_written():
    assert to_plain(Record("a", Part(3, 1.0, ((0, 1), (2,))))) == {
        "name": "a",
        "part": {"count": 3, "share": 1.0, "clusters": [[0, 1], [2]]},
        "double": 6,
        "device": "cpu",
        "first": 3,
        "none": None,
    }


def test_containers_paths_and_numbers_of_numpy_are_plain_and_what_is_not_finite_is_nothing():
    value = {1: (np.float32(0.5), np.eye(2)), "path": Path("a/b"), "turn": Turn(2, math.nan), "inf": [math.inf, True]}
    plain = to_plain(value)
    assert plain == {
        "1": [0.5, [[1.0, 0.0], [0.0, 1.0]]],
        "path": "a/b",
        "turn": {"steps": 2, "accuracy": None},
        "inf": [None, True],
    }
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@given(st.builds(Part, st.integers(0), st.floats(0, 1), st.lists(st.lists(st.integers()).map(tuple)).map(tuple)))
def test_what_is_written_is_read_again(part):
    assert from_plain(Part, json.loads(json.dumps(to_plain(part)))) == part


def test_what_has_a_default_may_be_missing_and_what_is_computed_may_be_there():
    assert from_plain(Record, {"name": "a", "part": {"count": 3}, "double": 6}) == Record("a", Part(3))
    assert from_plain(dict[str, tuple[Part, ...]], {"x": [{"count": 1}]}) == {"x": (Part(1),)}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "expected object, got int"),
        ({}, "object missing required field count"),
        ({"count": -1}, "'count' expected int >= 0"),
        ({"count": True}, "'count' expected int, got bool"),
        ({"count": 1.5}, "'count' expected int, got float"),
        ({"count": 1, "share": 1.01}, "'share' expected float <= 1.0"),
        ({"count": 1, "share": math.nan}, "'share' expected float >= 0.0"),
        ({"count": 1, "share": "1"}, "'share' expected float, got str"),
        ({"count": 1, "clusters": [[0], ["a"]]}, "'clusters[1][0]' expected int, got str"),
        ({"count": 1, "counts": 1}, "'counts' is unknown"),
    ],
)
def test_what_would_not_be_written_is_refused_with_its_place(value, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (its whole text is compared)
        from_plain(Part, value)
    assert str(caught.value) == said


def test_what_is_unknown_is_found_wherever_it_is():
    with pytest.raises(ValueError, match=r"^'units.a\[1\].odd' is unknown$"):
        from_plain(dict[str, dict[str, tuple[Part, ...]]], {"units": {"a": [{"count": 1}, {"count": 2, "odd": None}]}})
