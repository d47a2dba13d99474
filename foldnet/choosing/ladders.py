"""The ways down to fewer owners: for each group, or each family of blocks, its dendrogram merge by merge."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np

from foldnet.analysis.clusters import BlockLayers, Clusters, block_merge_paths, merge_path, partition
from foldnet.folding.groups import GroupAlgebra
from foldnet.folding.plan import blocks_of
from foldnet.folding.structures import Structures
from foldnet.sharing.share import SharedNetwork


@dataclass(frozen=True, slots=True)
class Rung:
    """After one more merge: the similarity at which it happens, and the clusters of every group that the ladder
    concerns."""

    height: float
    clusters: dict[str, Clusters]


@dataclass(frozen=True, slots=True)
class Ladder:
    """One dendrogram, from the first merge to the last. `name` is the group's or the stage's."""

    name: str
    rungs: tuple[Rung, ...]


def ladders_of(
    model: SharedNetwork,
    algebra: tuple[GroupAlgebra, ...],
    *,
    unit: str,
    metric: str,
    linkage: str,
    groups: Set[str],
    keep: Set[str],
    structures: Structures | None = None,
) -> tuple[Ladder, ...]:
    """The ladders of some groups, of layers or of whole blocks; layers in `keep` are never merged."""
    chosen = [entry for entry in algebra if entry.group.name in groups]
    if unit == "layer":
        found = tuple(_layer_ladder(entry, metric, linkage, keep) for entry in chosen)
    else:
        similarities = {entry.group.name: entry.similarity(metric) for entry in chosen}
        layers = {entry.group.name: entry.group.layers for entry in chosen}
        free = [
            block
            for block in blocks_of(model, set(groups), structures)
            if not any(layers[group][row] in keep for group, row in block.layers)
        ]
        found = _block_ladders(similarities, layers, free, linkage)
    return tuple(ladder for ladder in found if ladder.rungs)


def _layer_ladder(entry: GroupAlgebra, metric: str, linkage: str, keep: Set[str]) -> Ladder:
    """One group's layers."""
    free = [row for row, layer in enumerate(entry.group.layers) if layer not in keep]
    walk = merge_path(entry.similarity(metric)[np.ix_(free, free)], linkage)
    name, size = entry.group.name, len(entry.group.layers)
    rungs = (
        Rung(height, {name: partition([[free[i] for i in cluster] for cluster in clusters], size)})
        for height, clusters in walk
    )
    return Ladder(name, tuple(rungs))


def _block_ladders(
    similarities: Mapping[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]],
    layers: Mapping[str, tuple[str, ...]],
    blocks: list[BlockLayers],
    linkage: str,
) -> tuple[Ladder, ...]:
    """Families of blocks, tied position by position."""
    ladders: list[Ladder] = []
    for family, walk in block_merge_paths(similarities, blocks, linkage):
        touched = {group for index in family for group, _ in blocks[index].layers}
        rungs = []
        for height, clusters in walk:
            rows: dict[str, list[list[int]]] = {group: [] for group in touched}
            for cluster in clusters:
                for position, (group, _) in enumerate(blocks[family[0]].layers):
                    rows[group].append([blocks[family[member]].layers[position][1] for member in cluster])
            rungs.append(Rung(height, {name: partition(found, len(layers[name])) for name, found in rows.items()}))
        stage, taken = blocks[family[0]].stage, [ladder.name for ladder in ladders]
        name = stage if stage not in taken else f"{stage}, family {len(taken) + 1}"
        ladders.append(Ladder(name, tuple(rungs)))
    return tuple(ladders)
