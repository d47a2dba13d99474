"""What the layers of one network have in common over seeds: which pairs come alike, how far apart they lie, and whether
the same ones are clustered (the question behind the paper's Figure 7).

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from foldnet.analysis.chance import Chance, beyond_chance
from foldnet.analysis.clusters import cut
from foldnet.analysis.similarity import Matrix

APART = 2  # layers between the same place of two neighbouring blocks of two convolutions: (i, i+2)
DRAWS = 10_000  # of a permutation test: no p below 1e-4 can be told


@dataclass(frozen=True, slots=True)
class Common:
    """One group over its seeds, or all groups together, of which there is no `share` and no `rand`.

    `share` (L, L) is the share of seeds in which a pair of layers is beyond chance. Of those `pairs`, counted over all
    seeds, `apart` is the share of (i, i+2), which would be `expected` where every pair were as likely; `p` is the share
    of random orders of the layers, another one for each seed, that give as many. `rand` is the adjusted Rand index of
    two seeds' clusters, cut at the chance level, on average: 1 where they are the same, 0 where they have no more in
    common than chance gives. What there is nothing to tell of is None.
    """

    name: str
    seeds: int
    share: NDArray[np.float64]
    pairs: int
    apart: float | None
    expected: float | None
    p: float | None
    rand: float | None


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """One group's matrices, (seeds, L, L), and its chance level."""

    name: str
    matrices: Matrix
    chance: Chance


def common(groups: Sequence[SeedGroup], seed: int = 0) -> tuple[Common, ...]:
    """What each group's layers have in common over seeds, and at the end what all groups do. `seed` is that of the
    permutations."""
    generator = np.random.default_rng(seed)
    counted = [_Counted.of(group, generator) for group in groups]
    found = [
        Common(group.name, len(group.matrices), counts.above.mean(0), *counts.told, _rand(group))
        for group, counts in zip(groups, counted, strict=True)
    ]
    together = _Counted(
        np.empty((0, 0, 0), np.bool_),
        sum(one.pairs for one in counted),
        sum(one.apart for one in counted),
        sum(one.all_pairs for one in counted),
        sum(one.all_apart for one in counted),
        np.sum([one.draws for one in counted], axis=0),
    )
    seeds = max((len(group.matrices) for group in groups), default=0)
    return (*found, Common("all groups", seeds, np.empty((0, 0)), *together.told, None))


@dataclass(frozen=True, slots=True)
class _Counted:
    """Pairs beyond chance, those of them that are (i, i+2), both of all pairs, and how many (i, i+2) random orders of
    the layers give, (DRAWS,)."""

    above: NDArray[np.bool_]
    pairs: int
    apart: int
    all_pairs: int
    all_apart: int
    draws: NDArray[np.int64]

    @classmethod
    def of(cls, group: SeedGroup, generator: np.random.Generator) -> _Counted:
        """Of one group."""
        above = np.stack([beyond_chance(matrix, group.chance) for matrix in group.matrices])
        seeds, layers, _ = above.shape
        draws = np.zeros(DRAWS, np.int64)
        for one in above:  # a seed at a time: of 40 layers all orders take 3 MB
            order = generator.permuted(np.tile(np.arange(layers), (DRAWS, 1)), axis=1)
            draws += one[order[:, :-APART], order[:, APART:]].sum(1)
        apart = int(np.diagonal(above, APART, 1, 2).sum())
        every, possible = seeds * layers * (layers - 1) // 2, seeds * max(layers - APART, 0)
        return cls(above, int(np.triu(above, 1).sum()), apart, every, possible, draws)

    @property
    def told(self) -> tuple[int, float | None, float | None, float | None]:
        """(pairs, apart, expected, p) of Common."""
        expected = self.all_apart / self.all_pairs if self.all_pairs else None
        if not self.pairs:
            return 0, None, expected, None
        # The order that was found counts as one of those drawn: no test can say 0 (Phipson and Smyth 2010).
        p = (1 + int((self.draws >= self.apart).sum())) / (1 + DRAWS)
        return self.pairs, self.apart / self.pairs, expected, p


def _rand(group: SeedGroup) -> float | None:
    """The mean adjusted Rand index (Hubert and Arabie 1985) of the clusters of two seeds; of those pairs of seeds in
    which anything is clustered, since two partitions without clusters are equal and say nothing."""
    from sklearn.metrics import adjusted_rand_score

    level = group.chance.network_q95
    if level is None:
        return None
    labels = [_labels(matrix, level) for matrix in group.matrices]
    told = [(a, b) for a, b in combinations(labels, 2) if len(set(a)) < len(a) or len(set(b)) < len(b)]
    return fmean(float(adjusted_rand_score(a, b)) for a, b in told) if told else None


def _labels(matrix: Matrix, level: float) -> list[int]:
    """The cluster of each layer."""
    found = [0] * len(matrix)
    for label, cluster in enumerate(cut(matrix, level)):
        for layer in cluster:
            found[layer] = label
    return found
