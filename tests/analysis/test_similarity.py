"""Layer similarity: the paper's metric, the weights' own, and what each of them must not see."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.analysis.similarity import (
    coefficient_similarity,
    coordinate_map,
    disagreements,
    max_off_diagonal,
    weight_similarity,
)
from foldnet.errors import SettingError, ShapeMismatch

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 9)


def slow_similarity(weights):
    """|cos| of every pair of written-out rows, one at a time."""
    return np.array([[abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b)) for b in weights] for a in weights])


def assert_is_lsm(matrix, layers):
    assert matrix.shape == (layers, layers)
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1.0)
    assert matrix.min() >= 0.0
    assert matrix.max() <= 1.0


@settings(max_examples=60, deadline=None)
@given(seeds, sizes, sizes)
def test_coefficients_see_neither_sign_nor_length(seed, layers, templates):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((layers, templates))
    factors = rng.choice([-1, 1], (layers, 1)) * 10.0 ** rng.uniform(-150, 150, (layers, 1))
    similarity = coefficient_similarity(rows)
    assert_is_lsm(similarity, layers)
    assert_is_lsm(coefficient_similarity(factors * rows), layers)
    np.testing.assert_allclose(coefficient_similarity(factors * rows), similarity, atol=1e-12)
    np.testing.assert_allclose(similarity, slow_similarity(rows), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seeds, sizes, sizes)
def test_weights_see_what_the_written_out_weights_show_whatever_the_gauge(seed, layers, templates):
    rng = np.random.default_rng(seed)
    rows, bank = rng.standard_normal((layers, templates)), rng.standard_normal((templates, 40))
    # Well-conditioned up to a scale of each template, as trained banks are.
    turn = np.linalg.qr(rng.standard_normal((templates, templates)))[0]
    gauge = 10.0 ** rng.uniform(-3, 3, (templates, 1)) * turn
    similarity = weight_similarity(rows, bank @ bank.T)
    assert_is_lsm(similarity, layers)
    np.testing.assert_allclose(similarity, slow_similarity(rows @ bank), atol=1e-9)
    turned = weight_similarity(rows @ np.linalg.inv(gauge), gauge @ (bank @ bank.T) @ gauge.T)
    np.testing.assert_allclose(turned, similarity, atol=1e-7)


def test_the_two_metrics_agree_for_orthonormal_templates_and_not_for_others():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(coefficient_similarity(rows), np.eye(2))
    np.testing.assert_array_equal(weight_similarity(rows, np.eye(2)), np.eye(2))
    np.testing.assert_allclose(weight_similarity(rows, [[1.0, 1.0], [1.0, 1.0]]), np.ones((2, 2)), atol=1e-15)


def test_coordinates_keep_the_weights_products_even_of_dependent_templates():
    rng = np.random.default_rng(0)
    rows, bank = rng.standard_normal((5, 4)), rng.standard_normal((4, 30))
    bank[3] = 2 * bank[1]
    coordinates = rows @ coordinate_map(bank @ bank.T, len(bank))
    np.testing.assert_allclose(coordinates @ coordinates.T, rows @ bank @ (rows @ bank).T, rtol=1e-10)


def test_a_row_of_zeros_is_like_no_other_layer():
    expected = np.eye(3)
    expected[0, 2] = expected[2, 0] = 1.0
    rows = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    np.testing.assert_allclose(coefficient_similarity(rows), expected, atol=1e-15)
    np.testing.assert_allclose(weight_similarity(rows, np.eye(2)), expected, atol=1e-15)
    np.testing.assert_array_equal(weight_similarity(rows, np.zeros((2, 2))), np.eye(3))


def test_one_template_makes_all_layers_alike():
    np.testing.assert_array_equal(coefficient_similarity([[0.3], [-2.0], [1e-9]]), np.ones((3, 3)))


def test_the_largest_off_diagonal_number():
    similarity = np.array([[1.0, 0.2, 0.9], [0.2, 1.0, 0.4], [0.9, 0.4, 1.0]])
    assert max_off_diagonal(similarity) == 0.9
    assert max_off_diagonal(np.ones((1, 1))) is None


def test_disagreements_name_each_pair_once_and_forgive_rounding():
    first = np.array([[1.0, 0.95, 0.2], [0.95, 1.0, 0.9], [0.2, 0.9, 1.0]])
    second = np.array([[1.0, 0.85, 0.2], [0.85, 1.0, 0.9 - 1e-12], [0.2, 0.9 - 1e-12, 1.0]])
    assert disagreements(first, second, 0.9) == [(0, 1)]
    assert disagreements(first, first, 0.9) == []


def test_wrong_inputs_are_named():
    with pytest.raises(ShapeMismatch, match=r"^the coefficients have shape \(3,\); give a matrix with two axes$"):
        coefficient_similarity([1.0, 2.0, 3.0])
    wrong = "the coefficients hold nan at row 1, column 0; did the training diverge?"
    with pytest.raises(SettingError, match=f"^{re.escape(wrong)}$"):
        coefficient_similarity([[1.0], [float("nan")]])
    wrong = "a Gram matrix of shape (3, 3) does not fit 2 templates; give it one row and one column per template"
    with pytest.raises(ShapeMismatch, match=f"^{re.escape(wrong)}$"):
        weight_similarity(np.ones((4, 2)), np.eye(3))
    wrong = "similarity matrices of shapes (2, 2) and (3, 3) cannot be compared; take both of one group"
    with pytest.raises(ShapeMismatch, match=f"^{re.escape(wrong)}$"):
        disagreements(np.eye(2), np.eye(3), 0.9)
