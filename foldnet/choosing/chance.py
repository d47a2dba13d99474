"""What chance alone would have folded, told beside every fold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from foldnet.analysis.chance import SURE
from foldnet.analysis.clusters import Clusters, merge_path
from foldnet.analysis.similarity import Matrix
from foldnet.choosing.choose import Choice, Soft
from foldnet.choosing.untrained import Merging, chance_levels, untrained_merging
from foldnet.folding.families import Family
from foldnet.folding.plan import FoldPlan

LIKELY = 1 - SURE  # what more untrained networks than this do too may be chance


@dataclass(frozen=True, slots=True)
class FoldChance:
    """The shares (0..1) of `draws` untrained networks that would have merged as much, at the similarities of a fold.

    As much is: as few owners in that group; in all groups together; as many loops. None where nothing merged, or loops.
    `levels` are the similarities that 95 % of untrained networks stay below, by ladder: a group, or a stage's blocks.
    """

    unwritten: ClassVar = ("groups",)
    levels: Mapping[str, float]
    draws: int = 0
    groups: Mapping[str, float | None] | None = field(default=None, compare=False)
    merges: float | None = None
    loops: float | None = None

    def surpassed(self, ladder: str, height: float) -> bool:
        """Whether a merge of a ladder at `height` is one that 95 % of untrained networks have nowhere."""
        return height > self.levels[ladder]

    def of_group(self, name: str) -> float | None:
        """One group's share, None where nothing merged in it."""
        return (self.groups or {}).get(name)


def chance_of(soft: Soft, plan: FoldPlan, choice: Choice) -> FoldChance:
    """What untrained networks would do at the threshold of a fold; where it has none, at the lowest similarity that it
    merged at."""
    families = soft.families(soft.tied_unit)
    levels = chance_levels(soft.algebra, families, soft.metric)
    owners = {group.name: group.owners for group in plan.groups}
    layers = {group.name: len(group.layers) for group in plan.groups}
    if owners == layers:
        return FoldChance(levels)
    found = untrained_merging(
        soft.algebra,
        families,
        _heights(soft, families, plan, choice),
        metric=soft.metric,
        linkage=soft.settings.linkage,
        whole=soft.plan({name: (tuple(range(count)),) for name, count in layers.items()}).program,
    )
    return FoldChance(
        levels,
        found.draws,
        {name: _share(found.owners[name] <= owners[name]) if owners[name] < layers[name] else None for name in owners},
        _share(np.sum(list(found.owners.values()), axis=0) <= sum(owners.values())),
        _loops(found, plan.program.loops),
    )


def _loops(found: Merging, loops: int) -> float | None:
    """The share of untrained networks with at least so many loops."""
    return _share(found.loops >= loops) if loops else None


def _share(as_much: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """Of draws."""
    return float(as_much.mean())


def _heights(soft: Soft, families: tuple[Family, ...], plan: FoldPlan, choice: Choice) -> dict[str, tuple[float, ...]]:
    """The similarity, for each position of a family, at which a fold merged."""
    if choice.threshold is not None:
        given = choice.threshold
        return {
            family.name: tuple(given if not isinstance(given, dict) else given[group] for group, _ in family.positions)
            for family in families
        }
    similarities = {entry.group.name: entry.similarity(soft.metric) for entry in soft.algebra}
    clusters = {group.name: group.clusters for group in plan.groups}
    found = {family.name: _last_merge(soft, family, similarities, clusters) for family in families}
    # A family that was left alone could have merged, had it been as alike as the least alike that was not.
    least = min((height for height in found.values() if height is not None), default=1.0)
    chosen = {name: least if height is None else height for name, height in found.items()}
    return {family.name: (chosen[family.name],) * len(family.positions) for family in families}


def _last_merge(
    soft: Soft, family: Family, similarities: Mapping[str, Matrix], clusters: Mapping[str, Clusters]
) -> float | None:
    """The similarity of the last merge inside a fold's clusters of one family; None where nothing merged."""
    alike = family.similarity(similarities)
    group, rows = family.positions[0]
    heights: list[float] = []
    for cluster in clusters[group]:
        members = [member for member, row in enumerate(rows) if row in cluster]
        path = merge_path(alike[np.ix_(members, members)], soft.settings.linkage)
        heights += [height for height, _ in path[-1:]]
    return min(heights, default=None)
