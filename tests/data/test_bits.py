"""Prefix sums: the parity of every beginning, the same strings for the same seed, none in two parts."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.data.bits import draw_bits, other_bits, parities, split_bits
from foldnet.data.drawn_sources import PrefixSums
from foldnet.data.source import Asked
from foldnet.data.stream import Stream
from foldnet.data.tasks import BITS
from foldnet.errors import SettingError


def strings(part):
    return {string.numpy().tobytes() for string in part.pixels[:, 0]}


def test_every_place_says_whether_the_sum_up_to_it_is_odd():
    dataset, split = split_bits(9, 40, 8, 12, seed=3)
    for part, count in ((split.train, 40), (split.validation, 8), (split.test, 12)):
        assert part.shape == (count, 1, 9)
        for string, odd in zip(part.pixels[:, 0].tolist(), part.labels.tolist(), strict=True):
            assert odd == [sum(string[: place + 1]) % 2 == 1 for place in range(9)]
    assert (dataset.channels, dataset.size, dataset.task) == (1, 9, BITS)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_no_string_stands_in_two_parts(length, seed):
    _, split = split_bits(length, 50, 7, 11, seed)
    train, held, test = map(strings, (split.train, split.validation, split.test))
    assert (len(split.train), len(split.validation), len(split.test)) == (50, 7, 11)
    assert train.isdisjoint(held | test)
    assert held.isdisjoint(test)
    if length > 6:
        assert (len(train), len(held), len(test)) == (50, 7, 11)


def test_bits_are_fair_and_more_examples_leave_those_to_test_on():
    (drawn,) = draw_bits(64, (2000,), Stream(0, 0, "train"))
    assert abs(drawn.mean() - 0.5) < 0.01
    assert np.abs(drawn.mean(0) - 0.5).max() < 0.06
    few, many = (split_bits(32, count, 5, 20, seed=1)[1] for count in (10, 40))
    assert (few.test.pixels == many.test.pixels).all()
    assert few.hash != many.hash


def test_the_same_seed_gives_the_same_strings_on_every_machine():
    """The digests were made once; others mean that old seeds no longer give what they gave."""
    for length, digest in ((6, "a20e51985b30dfaa"), (32, "cf432a0eb058aeb5")):
        drawn = draw_bits(length, (16, 16), Stream(7, 0, "train"))
        assert hashlib.sha256(np.concatenate(drawn).tobytes()).hexdigest()[:16] == digest


def test_others_are_of_any_length_and_not_those_trained_on():
    trained = strings(split_bits(16, 500, 0, 10, seed=0)[1].train)
    others = strings(other_bits(16, 100, seed=0).test)
    assert len(others) == 100
    assert len(others - trained) > 90
    assert other_bits(200, 3, seed=0).test.shape == (3, 1, 200)


def test_a_source_counts_what_it_sets_aside():
    dataset, split = PrefixSums(length=5, examples=30, test_examples=4).load(Asked(validation=0.1, seed=2))
    assert (len(split.train), len(split.validation), len(dataset.test)) == (30, 3, 4)
    _, split = PrefixSums(length=5, examples=30, test_examples=4).load(Asked())
    assert split.validation is None
    said = "^`validation=2.5` is neither a share of the 30 examples that comes to a string or more, nor a whole number"
    with pytest.raises(SettingError, match=said):
        PrefixSums(examples=30).load(Asked(validation=2.5))


def test_more_than_the_memory_holds_is_refused(monkeypatch):
    monkeypatch.setattr("foldnet.data.strings.memory_bytes", lambda: (2**30, 2**20))
    said = r"^1,000 strings of 512 bits take 0.0 GiB and this machine has 0.0 GiB free; ask for fewer, or for shorter ones$"
    with pytest.raises(SettingError, match=said):
        other_bits(512, 1000, seed=0)


def test_parities_of_nothing_are_even():
    assert not parities(np.zeros((2, 5), np.uint8)).any()
