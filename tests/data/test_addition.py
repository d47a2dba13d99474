"""Sums as bytes: right ones, each number from its lowest digit on, the same for the same seed, none in two parts."""

import hashlib
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.data.addition import SumLoader, other_sums, split_sums
from foldnet.data.drawn_sources import Addition
from foldnet.data.source import Asked
from foldnet.data.tasks import SUMS, UNSCORED
from foldnet.errors import SettingError


def texts(part) -> list[str]:
    """The sums of a part as they are read: the bytes seen, and at the end the last that is asked for."""
    found = []
    for seen, asked in zip(part.pixels[:, 0].tolist(), part.labels.tolist(), strict=True):
        end = max(place for place, byte in enumerate(asked) if byte != UNSCORED)
        found.append(bytes([*seen[: end + 1], asked[end]]).decode())
    return found


def assert_sum(text: str, digits: int) -> None:
    """A text says what two numbers of so many digits come to."""
    first, second, total = re.fullmatch(r"(\d+)\+(\d+)=(\d+)", text).groups()
    assert (len(first), len(second), len(total)) == (digits, digits, digits + 1)
    assert int(first[::-1]) + int(second[::-1]) == int(total[::-1])


def test_sums_are_right_and_trained_on_from_one_digit_on():
    dataset, split = split_sums(3, 50, 6, 8, seed=1)
    lengths = [text.index("+") for text in texts(split.train)]
    assert [lengths.count(digits) for digits in (1, 2, 3)] == [16, 17, 17]
    for text, digits in zip(texts(split.train), lengths, strict=True):
        assert_sum(text, digits)
    for part, count in ((split.validation, 6), (split.test, 8)):
        assert len(part) == count
        for text in texts(part):
            assert_sum(text, 3)
    assert (dataset.channels, dataset.size, len(dataset.classes), dataset.task) == (1, 11, 256, SUMS)


def test_only_the_answer_is_asked_for():
    _, split = split_sums(3, 30, 0, 5, seed=0)
    assert split.validation is None
    for seen, asked, text in zip(split.train.pixels[:, 0], split.train.labels, texts(split.train), strict=True):
        answer = text.index("=") + 1
        wanted = [UNSCORED] * (answer - 1) + [ord(byte) for byte in text[answer:]]
        assert asked.tolist() == wanted + [UNSCORED] * (11 - len(wanted))
        assert seen.tolist() == [*map(ord, text[:-1])] + [0] * (12 - len(text))


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_no_sum_stands_in_two_parts(digits, seed):
    _, split = split_sums(digits, 60, 7, 11, seed)
    train, held, test = (set(texts(part)) for part in (split.train, split.validation, split.test))
    assert (len(held), len(test)) == (7, 11)
    assert train.isdisjoint(held | test)
    assert held.isdisjoint(test)


def test_where_few_exist_those_that_are_scored_stay_apart():
    _, split = split_sums(2, 30_000, 100, 9000, seed=0)
    train, scored = set(texts(split.train)), set(texts(split.test)) | set(texts(split.validation))
    assert len(split.train) == 30_000
    assert len(scored) == 9100
    assert train.isdisjoint(scored)
    assert len(train) == 100 + (10_000 - 9100)


def test_the_same_seed_gives_the_same_sums_on_every_machine():
    """The digests were made once; others mean that old seeds no longer give what they gave."""
    for digits, digest in ((2, "88cb9a92ad46205a"), (8, "e70d769896258c01")):
        _, split = split_sums(digits, 16, 4, 4, seed=7)
        said = "\n".join(text for part in (split.train, split.validation, split.test) for text in texts(part))
        assert hashlib.sha256(said.encode()).hexdigest()[:16] == digest
    assert split_sums(8, 16, 4, 4, seed=7)[1].hash == split.hash != split_sums(8, 16, 4, 4, seed=8)[1].hash


def test_others_have_just_so_many_digits_and_come_once():
    found = texts(other_sums(12, 50, seed=0).test)
    assert len(set(found)) == 50
    for text in found:
        assert_sum(text, 12)
    assert len(set(texts(other_sums(2, 10_000, seed=0).test))) == 10_000
    trained = set(texts(split_sums(4, 2000, 0, 10, seed=0)[1].train))
    assert len(set(texts(other_sums(4, 100, seed=0).test)) - trained) > 90


def test_batches_are_bytes_and_what_follows_each():
    dataset, split = split_sums(2, 20, 0, 5, seed=0)
    loader = SumLoader(dataset, split.train, batch_size=8, device=torch.device("cpu"))
    x, y = (torch.cat(part) for part in zip(*loader.in_order(), strict=True))
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((20, 8), (20, 8), torch.int64, torch.int64)
    assert torch.equal(x, split.train.pixels[:, 0].long())
    assert torch.equal(y, split.train.labels)
    known = y[:, :-1] != UNSCORED
    assert torch.equal(x[:, 1:][known & (x[:, 1:] != 0)], y[:, :-1][known & (x[:, 1:] != 0)])


def told(text: str) -> int:
    """A byte that follows, right in most cases, from what stands before alone."""
    numbers, answer = text.split("=") if "=" in text else (text, "")
    first, second = (int(number[::-1] or 0) for number in (numbers + "+").split("+")[:2])
    right = (first + second) // 10 ** len(answer) % 10
    return ord("0") + (right + (hashlib.sha256(text.encode()).digest()[0] < 40)) % 10


def test_the_score_is_that_of_greedy_decoding():
    part, right = other_sums(3, 200, seed=0).test, 0
    outputs = torch.zeros(200, 11, 256)
    for row, text in enumerate(texts(part)):
        for place in range(11):
            outputs[row, place, told(text[: place + 1])] = 1
        said = text[:8]
        while len(said) < 12:
            said += chr(told(said))
        right += said == text
    counts = SUMS.counts(outputs, part.labels).tolist()
    assert (SUMS.right(counts), SUMS.scored(counts)) == (right, 800)
    assert 0 < right < 200


def test_a_source_says_what_it_draws_and_counts_what_it_sets_aside():
    source = Addition(length=3, examples=30, test_examples=4)
    dataset, split = source.load(Asked(validation=0.1, seed=2))
    assert (len(split.train), len(split.validation), len(dataset.test)) == (30, 3, 4)
    assert (dataset.size, source.context, source.described) == (11, 11, "sums of numbers of 3 digits")
    said = "^`validation=2.5` is neither a share of the 30 examples that comes to a sum or more, nor a whole number"
    with pytest.raises(SettingError, match=said):
        source.load(Asked(validation=2.5))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Addition(length=1), "`length=1` is not legal; give a whole number from 2 to 31"),
        (lambda: Addition(length=32), "`length=32` is not legal; give a whole number from 2 to 31"),
        (
            lambda: split_sums(2, 100, 4000, 6000, seed=0),
            "`test_examples=6000` and 4000 sums to choose by are not fewer than the 10,000 of numbers of 2 digits, so that "
            "none is left to train on; ask for fewer, or for a greater `length`",
        ),
        (
            lambda: other_sums(2, 10_001, seed=0),
            "`count=10001` is more than the 10,000 sums of numbers of 2 digits; ask for fewer, or for a greater `length`",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, said):
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        make()


def test_more_than_the_memory_holds_is_refused(monkeypatch):
    monkeypatch.setattr("foldnet.data.strings.memory_bytes", lambda: (2**30, 2**20))
    said = (
        r"^1,000 sums of 30 digits take 0.0 GiB and this machine has 0.0 GiB free; ask for fewer, or for shorter ones$"
    )
    with pytest.raises(SettingError, match=said):
        other_sums(30, 1000, seed=0)
    with pytest.raises(SettingError, match=said):
        split_sums(30, 900, 0, 100, seed=0)
