"""Tying: the best owner and gains, against written-out weights."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.analysis.clusters import cut
from foldnet.analysis.similarity import weight_similarity
from foldnet.errors import SettingError, ShapeMismatch
from foldnet.folding.owners import tie_rows

seeds = st.integers(0, 2**32 - 1)


def planted(seed, layers, templates, *, condition=1.0, spread=1.0, scale=1.0):
    """Exactly proportional coefficients, signs and lengths mixed, and templates that may nearly depend."""
    rng = np.random.default_rng(seed)
    factors = rng.choice([-1, 1], (layers, 1)) * 10.0 ** rng.uniform(-spread, spread, (layers, 1))
    turn = np.linalg.qr(rng.standard_normal((50, templates)))[0].T
    bank = np.linalg.qr(rng.standard_normal((templates, templates)))[0] @ (
        np.geomspace(1, condition, templates)[:, None] * turn
    )
    return scale * factors * rng.standard_normal(templates), bank


def squared_error(weights, gains, owner):
    return float(((weights - np.outer(gains, owner)) ** 2).sum())


@settings(max_examples=80, deadline=None)
@given(
    seeds,
    st.integers(2, 7),
    st.integers(1, 6),
    st.sampled_from([1.0, 1e-3, 1e-6, 0.0]),
    st.sampled_from([0.0, 1.0, 5.0]),
    st.sampled_from([1.0, 1e-30, 1e30]),
)
def test_proportional_rows_fold_exactly(seed, layers, templates, condition, spread, scale):
    condition = condition or 1e-200
    rows, bank = planted(seed, layers, templates, condition=condition, spread=spread, scale=scale)
    tie = tie_rows(rows, bank @ bank.T, [range(layers)])
    weights, tied = rows @ bank, tie.gains[:, None] * (tie.owners[tie.assignment] @ bank)
    written = np.linalg.norm(weights - tied, axis=1) / np.linalg.norm(weights, axis=1)
    assert written.max() < 1e-6
    assert tie.errors.max() < 1e-6


def test_planted_rows_cluster_at_threshold_1_and_fold_exactly():
    rows, bank = planted(1, 6, 4, condition=1e-3)
    others, _ = planted(2, 2, 4)
    rows = np.vstack([rows[:3], others[:1], rows[3:]])
    clusters = cut(weight_similarity(rows, bank @ bank.T), 1.0)
    assert clusters == ((0, 1, 2, 4, 5, 6), (3,))
    tie = tie_rows(rows, bank @ bank.T, clusters)
    assert tie.errors.max() < 1e-6
    assert tie.assignment.tolist() == [0, 0, 0, 1, 0, 0, 0]


@settings(max_examples=80, deadline=None)
@given(seeds, st.integers(2, 6), st.integers(1, 5))
def test_gain_is_the_best_that_one_weight_can_do(seed, layers, templates):
    rng = np.random.default_rng(seed)
    rows, bank = rng.standard_normal((layers, templates)), rng.standard_normal((templates, 30))
    weights, gram = rows @ bank, bank @ bank.T
    best = tie_rows(rows, gram, [range(layers)])
    error = squared_error(weights, best.gains, (best.owners @ bank)[0])
    # Eckart and Young: no rank-one approximation of the written-out weights is better.
    assert error == pytest.approx((np.linalg.svd(weights)[1][1:] ** 2).sum(), rel=1e-6, abs=1e-9)
    for how in ("signed", "mean"):
        tie = tie_rows(rows, gram, [range(layers)], how)
        assert error <= squared_error(weights, tie.gains, (tie.owners @ bank)[0]) * (1 + 1e-9)
    for _ in range(5):
        gains, owner = rng.standard_normal(layers), rng.standard_normal(30)
        assert error <= squared_error(weights, gains, owner) * (1 + 1e-9)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_gains_have_root_mean_square_1_and_the_largest_is_positive(seed):
    rng = np.random.default_rng(seed)
    rows, clusters = rng.standard_normal((7, 3)), [(0, 3, 5), (1, 2), (4, 6)]
    tie = tie_rows(rows, np.eye(3), clusters)
    signed = tie_rows(rows, np.eye(3), clusters, "signed")
    np.testing.assert_array_equal(signed.gains, np.sign(tie.gains))
    for cluster in clusters:
        gains = tie.gains[list(cluster)]
        assert np.sqrt(np.mean(gains**2)) == pytest.approx(1.0)
        assert gains[np.argmax(np.abs(gains))] > 0


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_errors_are_those_of_the_written_out_weights(seed):
    rng = np.random.default_rng(seed)
    rows, bank = rng.standard_normal((6, 4)), rng.standard_normal((4, 30))
    for how in ("gain", "signed", "mean"):
        tie = tie_rows(rows, bank @ bank.T, [(0, 1, 5), (2,), (3, 4)], how)
        weights, tied = rows @ bank, tie.gains[:, None] * (tie.owners[tie.assignment] @ bank)
        expected = np.linalg.norm(weights - tied, axis=1) / np.linalg.norm(weights, axis=1)
        np.testing.assert_allclose(tie.errors, expected, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_gauge_changes_no_gain_and_no_tied_weight(seed):
    rng = np.random.default_rng(seed)
    rows, bank, gauge = rng.standard_normal((5, 3)), rng.standard_normal((3, 30)), rng.standard_normal((3, 3))
    gauge += 3 * np.eye(3)
    first = tie_rows(rows, bank @ bank.T, [(0, 1, 2), (3, 4)])
    turned_bank = gauge @ bank
    second = tie_rows(rows @ np.linalg.inv(gauge), turned_bank @ turned_bank.T, [(0, 1, 2), (3, 4)])
    weights = first.gains[:, None] * (first.owners[first.assignment] @ bank)
    turned = second.gains[:, None] * (second.owners[second.assignment] @ turned_bank)
    np.testing.assert_allclose(weights, turned, atol=1e-5)


@pytest.mark.parametrize("how", ["gain", "signed", "mean"])
def test_a_layer_that_is_alone_is_kept_to_the_last_bit(how):
    rows = np.random.default_rng(0).standard_normal((3, 4))
    tie = tie_rows(rows, np.diag([1.0, 1e-20, 0.0, 1e20]), [(2,), (0,), (1,)], how)
    np.testing.assert_array_equal(tie.owners, rows)
    np.testing.assert_array_equal(tie.gains, 1.0)
    np.testing.assert_array_equal(tie.errors, 0.0)


def test_a_small_example_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 5.0], [-3.0, 0.0]])
    gain = tie_rows(rows, np.eye(2), [(1,), (2, 0)])
    assert gain.assignment.tolist() == [0, 1, 0]
    np.testing.assert_allclose(gain.gains, [-1 / np.sqrt(5), 1.0, 3 / np.sqrt(5)])
    np.testing.assert_allclose(gain.owners, [[-np.sqrt(5), 0.0], [0.0, 5.0]], atol=1e-15)
    signed = tie_rows(rows, np.eye(2), [(0, 2), (1,)], "signed")
    np.testing.assert_array_equal(signed.gains, [-1.0, 1.0, 1.0])
    np.testing.assert_allclose(signed.owners, [[-2.0, 0.0], [0.0, 5.0]])
    mean = tie_rows(rows, np.eye(2), [(0, 2), (1,)], "mean")
    np.testing.assert_array_equal(mean.gains, 1.0)
    np.testing.assert_allclose(mean.owners, [[-1.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(mean.errors, [2.0, 0.0, 2 / 3])


def test_a_row_and_its_negative_have_gains_that_do_not_hang_on_rounding():
    for row in np.random.default_rng(0).standard_normal((50, 5)):
        np.testing.assert_allclose(tie_rows([row, -row], np.eye(5), [(0, 1)]).gains, [1.0, -1.0])


def test_a_gain_is_exact_even_for_a_member_a_million_million_times_shorter():
    row = np.random.default_rng(0).standard_normal(4)
    tie = tie_rows([row, -1e-12 * row, 3 * row], np.eye(4), [(0, 1, 2)])
    assert tie.errors.max() < 1e-14


def test_zero_rows_and_zero_templates():
    tie = tie_rows([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]], np.eye(2), [(0, 1), (2,)])
    np.testing.assert_allclose(tie.gains, [0.0, np.sqrt(2), 1.0])
    np.testing.assert_allclose(tie.errors, 0.0, atol=1e-15)
    np.testing.assert_array_equal(tie_rows(np.zeros((2, 3)), np.eye(3), [(0, 1)]).gains, 1.0)
    np.testing.assert_array_equal(tie_rows(np.ones((2, 3)), np.zeros((3, 3)), [(0, 1)]).errors, 0.0)
    np.testing.assert_allclose(tie_rows([[0.0], [2.0]], [[1.0]], [(0, 1)], "mean").errors, [1.0, 0.5])


def test_layers_that_differ_only_in_what_no_template_shows_fold_exactly():
    bank = np.random.default_rng(0).standard_normal((3, 20))
    bank[2] = bank[0] + bank[1]
    rows = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])  # one weight written in two ways
    assert tie_rows(rows, bank @ bank.T, [(0, 1)]).errors.max() < 1e-6


WRONG = [
    ({"how": "median"}, SettingError, "`tie='median'` is not legal; choose gain, signed or mean; did you mean 'mean'?"),
    (
        {"clusters": [(0, 1)]},
        SettingError,
        "the clusters are not a partition of 3 layers; put every layer into exactly one",
    ),
    (
        {"clusters": [(0, 1), (1, 2)]},
        SettingError,
        "the clusters are not a partition of 3 layers; put every layer into exactly one",
    ),
    (
        {"gram": np.eye(3)},
        ShapeMismatch,
        "a Gram matrix of shape (3, 3) does not fit 2 templates; give it one row and one column per template",
    ),
]


@pytest.mark.parametrize(("change", "error", "text"), WRONG)
def test_wrong_inputs_are_named(change, error, text):
    right = {"coefficients": np.ones((3, 2)), "gram": np.eye(2), "clusters": [(0, 1, 2)]}
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        tie_rows(**{**right, **change})
