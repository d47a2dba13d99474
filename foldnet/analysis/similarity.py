"""How alike the layers of a group are: the layer similarity matrix (LSM), S_ij = |cos| of layers i and j.

Two metrics: the coefficients', the paper's (Savarese & Maire 2019, section 3,
https://arxiv.org/abs/1902.09701), and the weights'. The first changes under (A R^-1, R T), which leaves every
weight W = A T as it was; the second does not.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foldnet.errors import SettingError, ShapeMismatch

Matrix = NDArray[np.float64]

SLACK = 1e-9  # six exactly proportional rows otherwise fall into 3 clusters at threshold 1


def coefficient_similarity(coefficients: ArrayLike) -> Matrix:
    """The LSM by coefficients, |cos(alpha_i, alpha_j)|: (L, K) -> (L, L).

    Exactly symmetric, within 0..1, its diagonal exactly 1; a row of zeros is like no other layer.
    Raises ShapeMismatch where the coefficients are not a matrix, SettingError where one is not a number.
    """
    return row_similarity(as_matrix(coefficients, "coefficients"))


def weight_similarity(coefficients: ArrayLike, gram: ArrayLike) -> Matrix:
    """The LSM by weights, |a_i G a_j| / sqrt(a_i G a_i · a_j G a_j): (L, K), (K, K) -> (L, L).

    `gram` is G = T T^t of the templates; no weight is written out. Invariants and errors as for coefficients.
    """
    rows = as_matrix(coefficients, "coefficients")
    return row_similarity(rows @ coordinate_map(gram, rows.shape[1]))


def coordinate_map(gram: ArrayLike, templates: int) -> Matrix:
    """M with M M^t = G, (K, K): A M are the weight coordinates of A. G may be singular."""
    square = as_matrix(gram, "Gram matrix")
    if square.shape != (templates, templates):
        raise ShapeMismatch(
            f"a Gram matrix of shape {square.shape} does not fit {templates} templates; "
            "give it one row and one column per template"
        )
    # Templates are brought to length 1 first, so that very different scales lose no digits in eigh.
    lengths = np.sqrt(np.clip(np.diag(square), 0.0, None))
    safe = np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh((square / 2 + square.T / 2) / safe[:, None] / safe)
    # Below this an eigenvalue is the rounding of G itself; its root (1e-8) would no longer be small.
    noise = templates * np.finfo(np.float64).eps * max(float(values.max(initial=0.0)), 0.0)
    roots = np.sqrt(np.where(values > noise, values, 0.0))
    product: Matrix = lengths[:, None] * vectors * roots
    return product


def row_similarity(rows: Matrix) -> Matrix:
    """|cos| between the rows of a float64 matrix: (L, D) -> (L, L)."""
    units = unit_rows(rows)
    cosines = np.abs(units @ units.T)
    similarity = np.clip(np.maximum(cosines, cosines.T), 0.0, 1.0)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def unit_rows(rows: Matrix) -> Matrix:
    """The rows at length 1, over the last axis; a row of zeros stays zero."""
    # The largest entry goes first: squares of numbers such as 1e-200 would vanish.
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    scaled = rows / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1.0)


def max_off_diagonal(similarity: Matrix) -> float | None:
    """The largest similarity of two different layers; None for a single layer. (L, L) -> number."""
    pairs = similarity[np.triu_indices(len(similarity), 1)]
    return float(pairs.max()) if len(pairs) else None


def disagreements(first: Matrix, second: Matrix, threshold: float) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, at or above `threshold` in one (L, L) matrix and below it in the other.

    "At" allows for rounding, as the clusters do. Raises ShapeMismatch for matrices of different sizes.
    """
    if first.shape != second.shape:
        raise ShapeMismatch(
            f"similarity matrices of shapes {first.shape} and {second.shape} cannot be compared; take both of one group"
        )
    rows, columns = np.nonzero(np.triu((first >= threshold - SLACK) != (second >= threshold - SLACK), 1))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)]


def as_matrix(values: ArrayLike, what: str) -> Matrix:
    """`values` as a float64 matrix. Raises ShapeMismatch where it is none, SettingError for nan or inf."""
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ShapeMismatch(f"the {what} have shape {matrix.shape}; give a matrix with two axes")
    if not np.isfinite(matrix).all():
        row, col = np.argwhere(~np.isfinite(matrix))[0]
        raise SettingError(f"the {what} hold {matrix[row, col]} at row {row}, column {col}; did the training diverge?")
    return matrix
