"""The same clustering of many similarity matrices at once: what thousands of untrained networks would merge."""

import numpy as np
from numpy.typing import NDArray

from foldnet.analysis.clusters import Clusters, cut_distances
from foldnet.analysis.similarity import SLACK, Matrix

AT_ONCE = 32  # layers up to which all matrices are clustered together; from here on scipy's own loop is faster


def first_merges(similarities: Matrix) -> Matrix:
    """The similarity at which each matrix' first two members merge, whatever the linkage: (D, n, n) -> (D,), n >= 2."""
    above = np.triu_indices(similarities.shape[1], 1)
    found: Matrix = similarities[:, above[0], above[1]].max(axis=1)
    return found


def cut_draws(similarities: Matrix, height: float, linkage: str = "complete") -> NDArray[np.int64]:
    """The clusters of each matrix, as cluster_layers cuts one: (D, n, n) -> (D, n), each member's first companion.

    `height` may be any number: matrices of blocks are shifted by the thresholds of their groups, and cut at 0.
    """
    draws, count, _ = similarities.shape
    if count > AT_ONCE:
        # Above a distance of 2 nothing is negative, which scipy would refuse.
        return np.stack([_labels(cut_distances(2.0 - one, 2.0 - height, linkage)) for one in similarities])
    left = similarities.copy()
    left[:, np.arange(count), np.arange(count)] = -np.inf
    labels = np.tile(np.arange(count), (draws, 1))
    sizes = np.ones((draws, count))
    active = np.arange(draws)
    for _ in range(count - 1):
        flat = left[active].reshape(len(active), -1)
        best = flat.argmax(axis=1)
        merging = flat[np.arange(len(active)), best] >= height - SLACK
        active, best = active[merging], best[merging]
        if not len(active):
            break
        # Of equal entries argmax takes the first, which lies above the diagonal: i < j.
        i, j = np.divmod(best, count)
        merged = _merged(left[active, i], left[active, j], sizes[active, i], sizes[active, j], linkage)
        merged[np.arange(len(active)), i] = merged[np.arange(len(active)), j] = -np.inf
        left[active, i, :] = left[active, :, i] = merged
        left[active, j, :] = left[active, :, j] = -np.inf
        sizes[active, i] += sizes[active, j]
        labels[active] = np.where(labels[active] == j[:, None], i[:, None], labels[active])
    return labels


def _merged(one: Matrix, other: Matrix, size: Matrix, other_size: Matrix, linkage: str) -> Matrix:
    """How similar the union of two clusters is to all others: (A, n) twice and their sizes (A,) -> (A, n)."""
    if linkage == "complete":
        return np.minimum(one, other)
    if linkage == "single":
        return np.maximum(one, other)
    return (one * size[:, None] + other * other_size[:, None]) / (size + other_size)[:, None]


def _labels(clusters: Clusters) -> NDArray[np.int64]:
    """A partition as each member's first companion, (n,)."""
    labels = np.zeros(sum(map(len, clusters)), dtype=np.int64)
    for cluster in clusters:
        labels[list(cluster)] = cluster[0]
    return labels
