"""Whether all that a file reuses is reused by its loops."""

import pytest

from foldnet.exporting.reuse import reused_in_loops
from foldnet.program.data import Block, Loop, Program, Stage, Step, Use

A, B, C = ((label, owner) for label, owner in (("A", 0), ("B", 1), ("C", 0)))


def program(items, labels):
    owners = dict((A, B, C))
    blocks = tuple(
        Block(f"s.{n}", label, (Use(f"s.{n}.conv", "conv", "s", owners[label]),)) for n, label in enumerate(labels)
    )
    return Program((), (Stage("s", blocks, items),), ())


def loop(times, *body, name="s.loop1"):
    return Loop(times, tuple(body), name)


@pytest.mark.parametrize(
    ("items", "labels", "loops", "reused"),
    [
        ((loop(3, Step("A")), Step("B")), "AAAB", ("s.loop1",), True),
        ((loop(3, Step("A")), Step("B")), "AAAB", (), False),
        ((Step("A"), loop(2, Step("B")), Step("A")), "ABBA", ("s.loop1",), False),
        ((Step("C"), loop(2, Step("A"))), "CAA", ("s.loop1",), False),
        ((loop(2, Step("A"), loop(2, Step("B"), name="s.loop2")),), "ABBABB", ("s.loop1", "s.loop2"), True),
        ((loop(2, Step("A"), loop(2, Step("B"), name="s.loop2")),), "ABBABB", ("s.loop1",), False),
    ],
)
def test_an_owner_is_reused_in_loops_where_it_is_written_once(items, labels, loops, reused):
    assert reused_in_loops(program(items, labels), loops) is reused


@pytest.mark.parametrize(
    ("items", "labels", "together", "reused"),
    [
        ((loop(2, Step("A")), Step("B"), loop(2, Step("A"), name="s.loop2")), "AABAA", ["s.loop1", "s.loop2"], True),
        ((loop(2, Step("A")), Step("B"), loop(2, Step("A"), name="s.loop2")), "AABAA", [], False),
        ((loop(2, Step("A")), Step("C"), loop(2, Step("A"), name="s.loop2")), "AACAA", ["s.loop1", "s.loop2"], False),
        ((Step("B"), loop(2, Step("A")), Step("A")), "BAAA", ["s.loop1"], True),
    ],
)
def test_a_body_of_loops_that_became_one_is_written_once(items, labels, together, reused):
    loops = ("s.loop1", "s.loop2")
    assert reused_in_loops(program(items, labels), loops, [together]) is reused
