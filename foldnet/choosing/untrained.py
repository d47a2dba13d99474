"""What untrained networks would merge: the same clustering of coefficients as they start, thousands of times.

Untrained layers are alike by chance, above all where templates are few: of untrained networks of six layers and two
templates a stage, all fold at 0.95. So a fold is told beside how many of them would have merged as much.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from foldnet.analysis.chance import network_share, untrained_rows
from foldnet.analysis.clusters import cut_draws, first_merges
from foldnet.analysis.similarity import Matrix, coordinate_map, unit_rows
from foldnet.folding.groups import Family, GroupAlgebra
from foldnet.program.data import Program, count_loops
from foldnet.program.loops import find_loops

MOST_DRAWS = 2000  # a share of 5 % is then known to half a point
LEVEL_DRAWS = 4000  # a level is a quantile far out, with three groups that of 1.7 %
FEWEST_DRAWS = 100
WORK = 4e7  # similarities in all draws of one call; bounds the seconds
CHUNK = 4e6  # and at one time; bounds the memory


@dataclass(frozen=True, slots=True)
class Merging:
    """What untrained networks merge: owners of each group, (D,), and loops of the whole network, (D,)."""

    owners: dict[str, NDArray[np.int64]]
    loops: NDArray[np.int64]


def chance_levels(algebra: Sequence[GroupAlgebra], families: Sequence[Family], metric: str) -> dict[str, float]:
    """For each family the similarity that 95 % of untrained networks stay below, in this and in all others.

    For layers that is what `foldnet lsm` stars by. Where all are alike by construction (one template) it is 1.
    """
    groups = {entry.group.name: entry for entry in algebra}
    judged = [family for family in families if any(groups[name].may_differ for name in family.groups)]
    levels = dict.fromkeys((family.name for family in families), 1.0)
    for family in judged:
        (name, rows), *others = family.positions
        if not others and len(rows) == len(groups[name].group.layers):
            level = groups[name].chance(metric, len(judged)).network_q95
            assert level is not None
        else:
            draws = untrained_similarities([groups[name] for name in family.groups], metric, LEVEL_DRAWS)
            merges = [first_merges(family.similarity(drawn)) for drawn in draws]
            level = float(np.quantile(np.concatenate(merges), network_share(len(judged))))
        levels[family.name] = min(level, 1.0)
    return levels


def untrained_similarities(
    algebra: Sequence[GroupAlgebra], metric: str, most: int = MOST_DRAWS, seed: int = 0
) -> Iterator[dict[str, Matrix]]:
    """Similarity matrices (D, L, L) of the groups of `most` untrained networks or fewer, chunk by chunk, the same for
    one seed.

    By weights with the Gram matrices that the templates have now.
    """
    generator = np.random.default_rng(seed)
    numbers = sum(len(entry.group.layers) ** 2 for entry in algebra)
    draws = int(np.clip(WORK / numbers, FEWEST_DRAWS, most))
    size = int(np.clip(CHUNK / numbers, 1, draws))
    maps = [coordinate_map(entry.gram, entry.group.templates) if metric == "weights" else None for entry in algebra]
    for first in range(0, draws, size):
        count = min(size, draws - first)
        drawn = {}
        for entry, coordinates in zip(algebra, maps, strict=True):
            rows = untrained_rows(count, len(entry.group.layers), entry.group.templates, generator)
            units = unit_rows(rows if coordinates is None else rows @ coordinates)
            drawn[entry.group.name] = np.minimum(np.abs(units @ units.transpose(0, 2, 1)), 1.0)
        yield drawn


def untrained_merging(
    algebra: Sequence[GroupAlgebra],
    families: Sequence[Family],
    levels: Mapping[str, Sequence[float]],
    metric: str,
    linkage: str,
    whole: Program,
) -> Merging:
    """What untrained networks merge in `families` at `levels`: a similarity for every position of each.

    `whole` is the program of the network with every group tied to one owner: its labels say which blocks are built
    alike.
    """
    owners: dict[str, list[NDArray[np.int64]]] = {entry.group.name: [] for entry in algebra}
    loops = []
    rows = {layer: (entry.group.name, row) for entry in algebra for row, layer in enumerate(entry.group.layers)}
    for drawn in untrained_similarities(algebra, metric):
        labels = {name: np.tile(np.arange(matrix.shape[1]), (len(matrix), 1)) for name, matrix in drawn.items()}
        for family in families:
            tied = cut_draws(family.similarity(drawn, levels[family.name]), 0.0, linkage)
            for group, members in family.positions:
                labels[group][:, list(members)] = np.array(members)[tied]
        for name, found in labels.items():
            owners[name].append((found == np.arange(found.shape[1])).sum(axis=1))
        loops.append(_loops(whole, rows, labels))
    return Merging({name: np.concatenate(found) for name, found in owners.items()}, np.concatenate(loops))


def _loops(
    whole: Program, rows: Mapping[str, tuple[str, int]], labels: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Loops of each draw's whole network, (D,); `labels` has of each group (D, L) the first layer that one is tied
    to."""
    total = np.zeros(len(next(iter(labels.values()))), dtype=np.int64)
    for stage in whole.stages:
        kinds = np.unique([block.label for block in stage.blocks], return_inverse=True)[1]
        where = [[rows[use.layer] for use in block.uses if use.layer in rows] for block in stage.blocks]
        columns = [labels[group][:, row] for places in where for group, row in places]
        if not columns:
            continue
        patterns, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        counts = np.array([_loops_of(_blocks(kinds.tolist(), where, pattern)) for pattern in patterns.tolist()])
        total += counts[inverse.reshape(-1)]
    return total


def _blocks(kinds: Sequence[int], where: Sequence[Sequence[object]], pattern: Sequence[int]) -> tuple[str, ...]:
    """A label for every block of a stage: equal where its kind and the owners at all its positions are."""
    rest = iter(pattern)
    found = [(kind, *islice(rest, len(places))) for kind, places in zip(kinds, where, strict=True)]
    numbers = {block: str(number) for number, block in enumerate(dict.fromkeys(found))}
    return tuple(numbers[block] for block in found)


@lru_cache(maxsize=1 << 14)
def _loops_of(labels: tuple[str, ...]) -> int:
    """Loops in the shortest program of these labels."""
    return count_loops(find_loops(labels))
