"""What may be tied to what: the layers of a group, or the blocks of a stage that are built alike."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from foldnet.analysis.clusters import BlockLayers, block_families
from foldnet.analysis.similarity import Matrix
from foldnet.folding.groups import GroupAlgebra


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


def layer_families(algebra: Sequence[GroupAlgebra], keep: Set[str] = frozenset()) -> tuple[Family, ...]:
    """A family for each group: its layers but those in `keep`."""
    free = {
        entry.group.name: tuple(row for row, layer in enumerate(entry.group.layers) if layer not in keep)
        for entry in algebra
    }
    return tuple(Family(name, ((name, rows),)) for name, rows in free.items() if len(rows) > 1)


def block_families_of(
    blocks: Sequence[BlockLayers], layers: Mapping[str, tuple[str, ...]], keep: Set[str] = frozenset()
) -> tuple[Family, ...]:
    """A family for all blocks of one structure in a stage, those with a layer in `keep` aside; `layers` are the
    groups'."""
    free = [block for block in blocks if not any(layers[group][row] in keep for group, row in block.layers)]
    families: list[Family] = []
    for members in block_families(free).values():
        first = free[members[0]]
        positions = tuple(
            (group, tuple(free[member].layers[position][1] for member in members))
            for position, (group, _) in enumerate(first.layers)
        )
        taken = [family.name for family in families]
        name = first.stage if first.stage not in taken else f"{first.stage}, family {len(taken) + 1}"
        families.append(Family(name, positions))
    return tuple(family for family in families if family.positions and len(family.positions[0][1]) > 1)


def family_similarity(
    family: Family, similarities: Mapping[str, Matrix], levels: Sequence[float] | None = None
) -> Matrix:
    """How alike its members are at their worst position, above `levels` (one a position) where given.

    Of each group one matrix (L, L) or many (D, L, L) -> (n, n) or (D, n, n).
    """
    worst: Matrix | None = None
    for position, (group, rows) in enumerate(family.positions):
        chosen = similarities[group][..., np.array(rows)[:, None], np.array(rows)]
        above = chosen if levels is None else chosen - levels[position]
        worst = above if worst is None else np.minimum(worst, above)
    assert worst is not None
    return worst
