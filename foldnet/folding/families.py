"""What may be tied to what: the layers of a group, or the blocks of a stage that are built alike."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from foldnet.analysis.choices import UNITS
from foldnet.analysis.clusters import Clusters, partition
from foldnet.analysis.similarity import Matrix
from foldnet.folding.groups import GroupAlgebra
from foldnet.folding.structures import Structures, structures_of
from foldnet.options import check_choice
from foldnet.sharing.plan import ROOT
from foldnet.sharing.sequences import block_names, sequences_of
from foldnet.sharing.share import SharedNetwork


@dataclass(frozen=True, slots=True)
class Family:
    """Two or more layers, or blocks, that one dendrogram merges; `name` is that of the ladder down it.

    `positions` has, for every shared layer of a block (one for a layer), its group and the row of each member in that
    group.
    """

    name: str
    positions: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def groups(self) -> list[str]:
        """The groups whose layers it ties, each once."""
        return list(dict.fromkeys(group for group, _ in self.positions))

    def similarity(self, similarities: Mapping[str, Matrix], levels: Sequence[float] | None = None) -> Matrix:
        """How alike its members are at their worst position, above `levels` (one a position) where given.

        Of each group one matrix (L, L) or many (D, L, L) -> (n, n) or (D, n, n).
        """
        places = [
            similarities[group][..., np.array(rows)[:, None], np.array(rows)] - level
            for (group, rows), level in zip(self.positions, levels or [0.0] * len(self.positions), strict=True)
        ]
        worst: Matrix = np.minimum.reduce(places)
        return worst

    def tied(self, clusters: Clusters, sizes: Mapping[str, int]) -> dict[str, Clusters]:
        """What clusters of its members tie, position by position: a partition of each of its groups, of these sizes."""
        found: dict[str, list[list[int]]] = {group: [] for group in self.groups}
        for group, rows in self.positions:
            found[group] += [[rows[member] for member in cluster] for cluster in clusters]
        return {group: partition(rows, sizes[group]) for group, rows in found.items()}


def families_of(
    model: SharedNetwork,
    algebra: Sequence[GroupAlgebra],
    unit: str,
    keep: Set[str] = frozenset(),
    structures: Structures | None = None,
) -> tuple[Family, ...]:
    """A family for the layers of each group in `algebra`, or for all blocks of one structure in a stage whose shared
    layers are all of these groups; layers in `keep`, and blocks with one, are left out.

    `structures` are those of the model's blocks, compared here where they are needed and not given. Raises SettingError
    for an unknown unit.
    """
    check_choice("unit", unit, UNITS)
    free = {
        entry.group.name: tuple(row for row, layer in enumerate(entry.group.layers) if layer not in keep)
        for entry in algebra
    }
    if unit == "layer":
        return tuple(Family(name, ((name, rows),)) for name, rows in free.items() if len(rows) > 1)
    structures = structures or structures_of(model.network, model.plan)
    places = {layer: (group.name, row) for group in model.plan.groups for row, layer in enumerate(group.layers)}
    alike: dict[tuple[str, int, tuple[str, ...]], list[tuple[int, ...]]] = {}
    for sequence in sequences_of(model.network, list(places)):
        for name in block_names(model.network, sequence):
            inside = [place for layer, place in places.items() if layer == name or layer.startswith(f"{name}.")]
            if inside and all(row in free.get(group, ()) for group, row in inside):
                groups, rows = zip(*inside, strict=True)
                alike.setdefault((sequence or ROOT, structures.numbers[name], groups), []).append(rows)
    families: list[Family] = []
    for (stage, _, groups), members in alike.items():
        taken = [family.name for family in families]
        name = stage if stage not in taken else f"{stage}, family {len(taken) + 1}"
        families.append(Family(name, tuple(zip(groups, zip(*members, strict=True), strict=True))))
    return tuple(family for family in families if len(family.positions[0][1]) > 1)
