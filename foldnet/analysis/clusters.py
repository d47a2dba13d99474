"""Which layers, or whole blocks, are alike enough to be tied: hierarchical clustering of 1 - S.

The paper (Savarese & Maire 2019, section 4.3, https://arxiv.org/abs/1902.09701) picks them by eye; here a
threshold does.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet, fcluster
from scipy.cluster.hierarchy import linkage as merge_tree
from scipy.spatial.distance import squareform

from foldnet.analysis.choices import LINKAGES
from foldnet.analysis.similarity import SLACK, Matrix
from foldnet.errors import SettingError, ShapeMismatch, check_known
from foldnet.options import check_choice

Clusters = tuple[tuple[int, ...], ...]
"""A partition of 0..n-1: members ascending, clusters by their first member, singletons included."""

AT_ONCE = 32  # layers up to which many matrices are clustered together; from here on scipy's own loop is faster


def cut(similarity: Matrix, height: float, linkage: str = "complete") -> Clusters:
    """The layers, or blocks, that belong together at a similarity of `height`: (n, n) -> a partition of 0..n-1.

    With complete linkage every pair in a cluster is at or above the height, which may be any number: the similarities
    of blocks are measured from the thresholds of their groups, and cut at 0. Raises SettingError for an unknown linkage
    or a similarity that is not a number, ShapeMismatch where the matrix is not square.
    """
    tree = _tree(similarity, linkage)
    labels = fcluster(tree, 2.0 - height + SLACK, criterion="distance") if len(tree) else range(len(similarity))
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[int(label)].append(index)
    return tuple(map(tuple, members.values()))


def merge_path(similarity: Matrix, linkage: str = "complete") -> tuple[tuple[float, Clusters], ...]:
    """The dendrogram as a walk: (n, n) -> (similarity at which two clusters merge, the partition then), n - 1 times.

    Similarities fall, and lie within 0..1. Raises as `cut`.
    """
    members: dict[int, tuple[int, ...]] = {index: (index,) for index in range(len(similarity))}
    walk = []
    for merge, (left, right, distance, _) in enumerate(_tree(similarity, linkage), start=len(similarity)):
        members[merge] = tuple(sorted((*members.pop(int(left)), *members.pop(int(right)))))
        walk.append((float(np.clip(2.0 - distance, 0.0, 1.0)), tuple(sorted(members.values()))))
    return tuple(walk)


def first_merges(similarities: Matrix) -> Matrix:
    """The similarity at which each matrix' first two members merge, whatever the linkage: (D, n, n) -> (D,), n >= 2."""
    above = np.triu_indices(similarities.shape[1], 1)
    found: Matrix = similarities[:, above[0], above[1]].max(axis=1)
    return found


def cut_draws(similarities: Matrix, height: float, linkage: str = "complete") -> NDArray[np.int64]:
    """The clusters of each matrix, as `cut` cuts one: (D, n, n) -> (D, n), each member's first companion."""
    draws, count, _ = similarities.shape
    labels = np.tile(np.arange(count), (draws, 1))
    if count > AT_ONCE:
        for one, its in zip(similarities, labels, strict=True):
            for cluster in cut(one, height, linkage):
                its[list(cluster)] = cluster[0]
        return labels
    left = similarities.copy()
    left[:, np.arange(count), np.arange(count)] = -np.inf
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


def check_clusters(clusters: object, layers: Sequence[str], *, group: str, keep: Collection[str] = ()) -> Clusters:
    """Clusters that a user wrote down by layer names, as a partition of the indices of `layers`.

    Layers that are not named, and those in `keep`, stay alone. Raises UnknownName for a layer that is not in the group,
    SettingError where a layer is named twice or `clusters` is not a list of lists of names.
    """
    if not isinstance(clusters, list | tuple) or not all(isinstance(cluster, list | tuple) for cluster in clusters):
        raise SettingError(
            f"the clusters of '{group}' are not a list of lists of layer names; write them as "
            '[["layer", "layer"], ...] in the `clusters` file'
        )
    index = {layer: i for i, layer in enumerate(layers)}
    place, listed = f"in the `clusters` file's group '{group}'", f"; group '{group}' holds {', '.join(layers)}"
    named = [layer for cluster in clusters for layer in cluster]
    check_known(named, layers, lambda layer: f"there is no layer {layer!r} {place}", listed)
    for layer, count in Counter(named).items():
        if count > 1:
            raise SettingError(f"layer '{layer}' is named twice {place}; name it once")
    tied = [[index[layer] for layer in cluster if layer not in keep] for cluster in clusters]
    return partition(tied, len(layers))


def partition(clusters: Sequence[Sequence[int]], size: int) -> Clusters:
    """Disjoint clusters as a partition of 0..size-1: ordered, with a singleton for every index in none."""
    named = {index for cluster in clusters for index in cluster}
    alone = [[index] for index in range(size) if index not in named]
    return tuple(sorted(tuple(sorted(cluster)) for cluster in [*clusters, *alone] if cluster))


def joined(first: Clusters, second: Clusters) -> Clusters:
    """Two partitions of the same indices as one, in which everything is together that is so in either."""
    sets = DisjointSet(range(sum(map(len, first))))
    for cluster in (*first, *second):
        for index in cluster[1:]:
            sets.merge(cluster[0], index)
    return tuple(sorted(tuple(sorted(found)) for found in sets.subsets()))


def _tree(similarity: Matrix, linkage: str) -> NDArray[np.float64]:
    """scipy's tree of merges, (n - 1, 4), at distances 2 - S: these are never negative, whatever S is measured from."""
    check_choice("linkage", linkage, LINKAGES)
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeMismatch(f"a similarity matrix has shape {matrix.shape}; give one with as many rows as columns")
    if not np.isfinite(matrix).all():
        raise SettingError("a similarity matrix holds values that are not numbers; did the training diverge?")
    if len(matrix) < 2:
        return np.empty((0, 4))
    tree: NDArray[np.float64] = merge_tree(squareform(2.0 - (matrix + matrix.T) / 2, checks=False), linkage)
    return tree
