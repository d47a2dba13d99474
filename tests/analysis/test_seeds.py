"""What seeds have in common: counts against loops over pairs, permutations against all orders, planted structures."""

from itertools import permutations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from foldnet.analysis.chance import Chance
from foldnet.analysis.seeds import APART, DRAWS, SeedGroup, common

LEVEL = Chance(0.3, 0.6, 0.7, 1, 0.8)


def alike(size, pairs):
    """A similarity matrix with 0.95 at some pairs and 0.1 elsewhere."""
    matrix = np.full((size, size), 0.1)
    np.fill_diagonal(matrix, 1.0)
    for i, j in pairs:
        matrix[i, j] = matrix[j, i] = 0.95
    return matrix


MATRICES = st.integers(3, 5).flatmap(
    lambda size: st.lists(
        st.sets(st.tuples(*[st.integers(0, size - 1)] * 2).filter(lambda pair: pair[0] < pair[1])),
        min_size=1,
        max_size=3,
    ).map(lambda seeds: np.stack([alike(size, pairs) for pairs in seeds]))
)


@given(MATRICES)
@settings(max_examples=25, deadline=None)
def test_counts_are_those_of_a_loop_over_pairs(matrices):
    (found, together) = common([SeedGroup("one", matrices, LEVEL)])
    seeds, size, _ = matrices.shape
    above = [(i, j) for one in matrices for i in range(size) for j in range(i + 1, size) if one[i, j] > 0.8]
    apart = sum(j - i == APART for i, j in above)
    assert found.pairs == together.pairs == len(above)
    assert found.expected == pytest.approx((size - APART) / (size * (size - 1) / 2))
    assert found.apart == (pytest.approx(apart / len(above)) if above else None)
    assert np.array_equal(found.share, (matrices > 0.8).mean(0) - np.eye(size))
    if seeds == 1 and above:  # one seed's permutations can all be tried
        every = [
            sum(matrices[0][o[i], o[i + APART]] > 0.8 for i in range(size - APART)) for o in permutations(range(size))
        ]
        exact = fmean(count >= apart for count in every)
        assert found.p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / DRAWS) + 2 / DRAWS)


def test_a_planted_chessboard_is_told_from_chance_and_a_random_one_is_not():
    planted = np.stack([alike(6, [(0, 2), (2, 4), (0, 4), (1, 3), (3, 5), (1, 5)])] * 4)
    assert common([SeedGroup("one", planted, LEVEL)])[0].p < 0.001
    generator = np.random.default_rng(0)
    ps = []
    for _ in range(40):
        orders = [generator.permutation(6) for _ in range(4)]
        shuffled = np.stack([planted[0][np.ix_(order, order)] for order in orders])
        ps.append(common([SeedGroup("one", shuffled, LEVEL)])[0].p)
    assert 0.3 < fmean(ps) < 0.8
    assert sum(p < 0.05 for p in ps) <= 6


def test_rand_is_of_clusters_at_the_chance_level_and_none_where_nothing_merges():
    first, second = alike(4, [(0, 1), (2, 3)]), alike(4, [(0, 1)])
    found = common([SeedGroup("one", np.stack([first, second]), LEVEL)])[0]
    assert found.rand == pytest.approx(adjusted_rand_score([0, 0, 1, 1], [0, 0, 1, 2]))
    assert common([SeedGroup("one", np.stack([first, first]), LEVEL)])[0].rand == 1.0
    nothing = common([SeedGroup("one", np.stack([alike(4, [])] * 2), LEVEL)])[0]
    assert (nothing.rand, nothing.p, nothing.apart, nothing.pairs) == (None, None, None, 0)


def test_all_groups_together_add_up_and_a_lone_layer_has_no_pairs():
    groups = [
        SeedGroup("one", np.stack([alike(4, [(0, 2)])] * 2), LEVEL),
        SeedGroup("two", np.stack([alike(3, [(0, 1)])] * 2), LEVEL),
        SeedGroup("three", np.ones((2, 1, 1)), Chance(None, None, None, 0)),
    ]
    *own, together = common(groups)
    assert together.pairs == sum(one.pairs for one in own) == 4
    assert together.apart == 0.5
    assert (own[2].pairs, own[2].expected, own[2].rand) == (0, None, None)
