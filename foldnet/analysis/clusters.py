"""Which layers, or whole blocks, are alike enough to be tied: hierarchical clustering of 1 - S.

The paper (Savarese & Maire 2019, section 4.3, https://arxiv.org/abs/1902.09701) picks them by eye; here a
threshold does.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as merge_tree
from scipy.spatial.distance import squareform

from foldnet.analysis.choices import LINKAGES
from foldnet.analysis.similarity import SLACK, Matrix
from foldnet.bounds import as_code
from foldnet.errors import SettingError, ShapeMismatch, UnknownName, nearest

Clusters = tuple[tuple[int, ...], ...]
"""A partition of 0..n-1: members ascending, clusters by their first member, singletons included."""


@dataclass(frozen=True, slots=True)
class BlockLayers:
    """A block as clustering sees it: the shared layer at each position, by group and index in that LSM.

    Two blocks can be tied where `structure` (stride, widths, shortcut) and the groups of all positions are
    equal.
    """

    structure: Hashable
    layers: tuple[tuple[str, int], ...]
    stage: str = ""  # where the block stands; blocks of two stages are never tied


@dataclass(frozen=True, slots=True)
class BlockClusters:
    """Blocks that are tied together, by index, and the partition of each group's layers that it means."""

    blocks: Clusters
    groups: dict[str, Clusters]


def cluster_layers(similarity: Matrix, threshold: float, linkage: str = "complete") -> Clusters:
    """The layers that belong together at `threshold`: (L, L) -> a partition of 0..L-1.

    With complete linkage every pair in a cluster is at or above the threshold. Raises SettingError for a
    threshold outside 0..1 or an unknown linkage, ShapeMismatch where the matrix is not square.
    """
    check_threshold(threshold)
    return cut_distances(1.0 - _checked(similarity), 1.0 - threshold, linkage)


def merge_heights(similarity: Matrix, linkage: str = "complete") -> tuple[float, ...]:
    """The similarities at which clusters merge, descending: (L, L) -> L - 1 numbers within 0..1.

    A threshold at or below the first merges two layers. Raises as `cluster_layers`.
    """
    _check_linkage(linkage)
    checked = _checked(similarity)
    if len(checked) < 2:
        return ()
    distances = merge_tree(squareform(1.0 - checked, checks=False), linkage)[:, 2]
    return tuple(float(height) for height in np.clip(1.0 - distances, 0.0, 1.0))


def merge_path(similarity: Matrix, linkage: str = "complete") -> tuple[tuple[float, Clusters], ...]:
    """The dendrogram as a walk: (L, L) -> (similarity at which two clusters merge, the partition then), L - 1 times.

    Raises as `cluster_layers`.
    """
    _check_linkage(linkage)
    return _path(1.0 - _checked(similarity), linkage)


def block_merge_paths(
    similarities: Mapping[str, Matrix], blocks: Sequence[BlockLayers], linkage: str = "complete"
) -> tuple[tuple[tuple[int, ...], tuple[tuple[float, Clusters], ...]], ...]:
    """The same for whole blocks: for every family of blocks that can be tied, its members and the walk over them.

    The clusters of a walk are indices into its family. Raises as `cluster_blocks`.
    """
    matrices = {name: _checked(matrix) for name, matrix in similarities.items()}
    _check_linkage(linkage)
    _check_blocks(blocks, matrices)
    level = dict.fromkeys(matrices, 0.0)
    paths = []
    for family in block_families(blocks).values():
        # Blocks lie 1 + (0 - S) apart at the threshold 0, which is the distance of their worst position.
        distances = _block_distances([blocks[index] for index in family], matrices, level)
        np.fill_diagonal(distances, 0.0)
        paths.append((tuple(family), _path(distances, linkage)))
    return tuple(paths)


def cluster_blocks(
    similarities: Mapping[str, Matrix],
    blocks: Sequence[BlockLayers],
    threshold: float | Mapping[str, float],
    linkage: str = "complete",
) -> BlockClusters:
    """The blocks that belong together, and the layers that they tie position by position.

    `similarities` holds every group's (L, L) matrix by the group's name; `threshold` is one number or one a
    group. Two blocks are as far apart as the layers at their worst position. Layers outside the blocks stay
    alone. Raises SettingError for illegal thresholds, an unknown linkage or a layer in two places,
    UnknownName for a group without a matrix.
    """
    matrices = {name: _checked(matrix) for name, matrix in similarities.items()}
    thresholds = _group_thresholds(threshold, matrices)
    _check_linkage(linkage)
    _check_blocks(blocks, matrices)
    families = block_families(blocks)
    tied: list[tuple[int, ...]] = []
    for family in families.values():
        distances = _block_distances([blocks[index] for index in family], matrices, thresholds)
        tied += [tuple(family[i] for i in cluster) for cluster in cut_distances(distances, 1.0, linkage)]

    rows = {
        name: [
            [blocks[index].layers[position][1] for index in cluster]
            for cluster in tied
            for position, (group, _) in enumerate(blocks[cluster[0]].layers)
            if group == name
        ]
        for name in matrices
    }
    return BlockClusters(
        blocks=tuple(sorted(tied)),
        groups={name: partition(rows[name], len(matrix)) for name, matrix in matrices.items()},
    )


def check_clusters(clusters: object, layers: Sequence[str], *, group: str) -> Clusters:
    """Clusters that a user wrote down by layer names, as a partition of the indices of `layers`.

    Layers that are not named stay alone. Raises UnknownName for a layer that is not in the group,
    SettingError where a layer is named twice or `clusters` is not a list of lists of names.
    """
    if not isinstance(clusters, list | tuple) or not all(isinstance(cluster, list | tuple) for cluster in clusters):
        raise SettingError(
            f"the clusters of '{group}' are not a list of lists of layer names; write them as "
            '[["layer", "layer"], ...] in the `clusters` file'
        )
    index = {layer: i for i, layer in enumerate(layers)}
    seen: set[str] = set()
    for layer in (layer for cluster in clusters for layer in cluster):
        if not isinstance(layer, str) or layer not in index:
            known = f"group '{group}' holds {', '.join(layers)}"
            close = nearest(layer, layers) if isinstance(layer, str) else ""
            raise UnknownName(
                f"there is no layer {layer!r} in the `clusters` file's group '{group}'{close or '; ' + known}"
            )
        if layer in seen:
            raise SettingError(f"layer '{layer}' is named twice in the `clusters` file's group '{group}'; name it once")
        seen.add(layer)
    return partition([[index[layer] for layer in cluster] for cluster in clusters], len(layers))


def partition(clusters: Sequence[Sequence[int]], size: int) -> Clusters:
    """Disjoint clusters as a partition of 0..size-1: ordered, with a singleton for every index in none."""
    named = {index for cluster in clusters for index in cluster}
    alone = [[index] for index in range(size) if index not in named]
    return tuple(sorted(tuple(sorted(cluster)) for cluster in [*clusters, *alone] if cluster))


def joined(first: Clusters, second: Clusters) -> Clusters:
    """Two partitions of the same indices that merge different members, as one."""
    merged = [cluster for cluster in (*first, *second) if len(cluster) > 1]
    return partition(merged, sum(map(len, first)))


def check_threshold(threshold: float) -> None:
    """Raise SettingError where `threshold` is outside 0..1 or not a number."""
    if not isinstance(threshold, Real) or not 0.0 <= threshold <= 1.0:
        raise SettingError(f"{as_code('threshold', threshold)} is not a similarity; give a number from 0 to 1")


def block_families(blocks: Sequence[BlockLayers]) -> dict[Hashable, list[int]]:
    """The blocks that can be tied to each other at all, by index."""
    families: dict[Hashable, list[int]] = defaultdict(list)
    for index, block in enumerate(blocks):
        # A block without shared layers has nothing to be tied, so it is a family of its own.
        own = None if block.layers else index
        families[(block.stage, block.structure, tuple(group for group, _ in block.layers), own)].append(index)
    return families


def _path(distances: Matrix, linkage: str) -> tuple[tuple[float, Clusters], ...]:
    """Merge by merge through the tree over an (n, n) matrix of distances."""
    if len(distances) < 2:
        return ()
    members: dict[int, tuple[int, ...]] = {index: (index,) for index in range(len(distances))}
    walk = []
    for merge, (left, right, distance, _) in enumerate(merge_tree(squareform(distances, checks=False), linkage)):
        members[len(distances) + merge] = tuple(sorted((*members.pop(int(left)), *members.pop(int(right)))))
        walk.append((float(np.clip(1.0 - distance, 0.0, 1.0)), tuple(sorted(members.values()))))
    return tuple(walk)


def cut_distances(distances: Matrix, height: float, linkage: str) -> Clusters:
    """The clusters of an (n, n) matrix of distances, cut at `height`."""
    _check_linkage(linkage)
    if len(distances) < 2:
        return tuple((index,) for index in range(len(distances)))
    labels = fcluster(merge_tree(squareform(distances, checks=False), linkage), height + SLACK, criterion="distance")
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[int(label)].append(index)
    return tuple(tuple(cluster) for cluster in members.values())


def _block_distances(
    blocks: Sequence[BlockLayers], matrices: Mapping[str, Matrix], thresholds: Mapping[str, float]
) -> Matrix:
    """Distances in one family of blocks, (B, B): 1 + the most that a position lacks to its threshold.

    Shifted so that blocks can be tied up to distance 1 whatever the thresholds of their groups are.
    """
    worst = np.zeros((len(blocks), len(blocks)))
    for position, (group, _) in enumerate(blocks[0].layers):
        index = [block.layers[position][1] for block in blocks]
        lacking = 1.0 + thresholds[group] - matrices[group][np.ix_(index, index)]
        worst = np.maximum(worst, lacking)
    np.fill_diagonal(worst, 0.0)
    return worst


def _checked(similarity: Matrix) -> Matrix:
    """The matrix made exactly symmetric and within 0..1, so that rounding cannot upset the clustering."""
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeMismatch(f"a similarity matrix has shape {matrix.shape}; give one with as many rows as columns")
    if not np.isfinite(matrix).all():
        raise SettingError("a similarity matrix holds values that are not numbers; did the training diverge?")
    clipped = np.clip((matrix + matrix.T) / 2, 0.0, 1.0)
    np.fill_diagonal(clipped, 1.0)
    return clipped


def _group_thresholds(threshold: float | Mapping[str, float], groups: Mapping[str, Matrix]) -> dict[str, float]:
    """One legal threshold for every group."""
    thresholds = dict(threshold) if isinstance(threshold, Mapping) else dict.fromkeys(groups, threshold)
    for value in thresholds.values():
        check_threshold(value)
    for name in groups:
        if name not in thresholds:
            raise SettingError(f"group '{name}' has no threshold; add {name} to `thresholds`")
    return thresholds


def _check_blocks(blocks: Sequence[BlockLayers], matrices: Mapping[str, Matrix]) -> None:
    """Raise UnknownName for a group without a matrix, SettingError for a layer in two places or in none."""
    seen: set[tuple[str, int]] = set()
    for group, index in (layer for block in blocks for layer in block.layers):
        if group not in matrices:
            raise UnknownName(f"group '{group}' has no similarity matrix{nearest(group, matrices)}")
        if not 0 <= index < len(matrices[group]):
            raise SettingError(f"layer {index} of group '{group}' is outside its {len(matrices[group])} layers")
        if (group, index) in seen:
            raise SettingError(
                f"layer {index} of group '{group}' is in two places; give every layer one block and position"
            )
        seen.add((group, index))


def _check_linkage(linkage: str) -> None:
    """Raise SettingError for an unknown linkage."""
    if linkage not in LINKAGES:
        raise SettingError(f"`linkage={linkage!r}` is unknown; give {', '.join(LINKAGES[:-1])} or {LINKAGES[-1]}")
