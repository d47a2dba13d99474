"""Cuts of runs of blocks, against every cut that there is."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.converting.segments import cut_run


def kept(similarity, segments):
    return sum(similarity[a:b, a:b].sum() / (b - a) for a, b in segments)


def every_cut(count, most):
    for number in range(1, most + 1):
        for inner in combinations(range(1, count), number - 1):
            ends = (0, *inner, count)
            yield tuple(pairwise(ends))


@given(st.integers(0, 2**31), st.integers(1, 8), st.data())
def test_no_cut_keeps_more(seed, count, data):
    most = data.draw(st.integers(1, count + 2))
    changes = np.random.default_rng(seed).normal(size=(count, 3))
    changes /= np.linalg.norm(changes, axis=1, keepdims=True)
    similarity = changes @ changes.T
    found = cut_run(similarity, most)
    assert (found[0][0], found[-1][1], len(found) <= most) == (0, count, True)
    assert all(a < b for a, b in found)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    best = max(kept(similarity, cut) for cut in every_cut(count, min(most, count)))
    assert kept(similarity, found) == pytest.approx(best, abs=1e-9 * count)


def test_blocks_that_do_alike_stay_together():
    one, other = np.ones((3, 3)), np.ones((2, 2))
    similarity = np.block([[one, np.zeros((3, 2))], [np.zeros((2, 3)), other]])
    assert cut_run(similarity, 2) == ((0, 3), (3, 5))
    assert cut_run(similarity, 4) == ((0, 3), (3, 5))  # a third segment would keep no more
    assert cut_run(np.ones((4, 4)), 3) == ((0, 4),)
