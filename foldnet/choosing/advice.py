"""What else a fold could have been, and whether chance alone would make it so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from foldnet.analysis.chance import SURE
from foldnet.analysis.clusters import Clusters, joined, merge_path
from foldnet.choosing.choose import Choice, Soft
from foldnet.choosing.sweep import Ladder
from foldnet.choosing.untrained import chance_levels, untrained_merging
from foldnet.folding.groups import Family
from foldnet.folding.plan import FoldPlan
from foldnet.folding.structures import describe
from foldnet.program.data import Item, Step
from foldnet.program.text import stage_text
from foldnet.show.report import Table, Text, share_of_draws

LIKELY = 1 - SURE  # what more untrained networks than this do too may be chance


@dataclass(frozen=True, slots=True)
class FoldChance:
    """The shares (0..1) of `draws` untrained networks that would have merged as much, at the similarities of a fold.

    As much is: as few owners in that group, where something merged; in all groups together; as many loops. None where
    nothing merged, or loops. `levels` are the similarities that 95 % of untrained networks stay below, by ladder: a
    group, or a stage's blocks.
    """

    unwritten: ClassVar = ("groups",)
    levels: Mapping[str, float]
    draws: int = 0
    groups: Mapping[str, float] = field(default_factory=dict, compare=False)
    merges: float | None = None
    loops: float | None = None

    def surpassed(self, ladder: str, height: float) -> bool:
        """Whether a merge of a ladder at `height` is one that 95 % of untrained networks have nowhere."""
        return height > self.levels[ladder]


def chance_of(soft: Soft, plan: FoldPlan, choice: Choice) -> FoldChance:
    """What untrained networks would do at the threshold of a fold; where it has none, at the lowest similarity that it
    merged at."""
    families = soft.families(soft.tied_unit)
    levels = chance_levels(soft.algebra, families, soft.metric)
    owners = {group.name: group.owners for group in plan.groups}
    layers = {group.name: len(group.layers) for group in plan.groups}
    if owners == layers:
        return FoldChance(levels)
    whole = soft.plan({name: (tuple(range(count)),) for name, count in layers.items()}).program
    heights = _heights(soft, families, plan, choice)
    found = untrained_merging(soft.algebra, families, heights, soft.metric, soft.settings.linkage, whole)
    merged = {name: count for name, count in owners.items() if count < layers[name]}
    groups = {name: float(np.mean(found.owners[name] <= count)) for name, count in merged.items()}
    as_much = np.sum(list(found.owners.values()), axis=0) <= sum(owners.values())
    loops = float(np.mean(found.loops >= plan.program.loops)) if plan.program.loops else None
    return FoldChance(levels, len(found.loops), groups, float(as_much.mean()), loops)


def _heights(soft: Soft, families: tuple[Family, ...], plan: FoldPlan, choice: Choice) -> dict[str, tuple[float, ...]]:
    """The similarity, for each position of a family, at which a fold merged."""
    if (given := choice.threshold) is not None:
        levels = given if isinstance(given, dict) else dict.fromkeys(soft.layers, given)
        return {family.name: tuple(levels[group] for group, _ in family.positions) for family in families}
    clusters = {group.name: group.clusters for group in plan.groups}
    found = {family.name: _last_merge(soft, family, clusters) for family in families}
    # A family that was left alone could have merged, had it been as alike as the least alike that was not.
    least = min((height for height in found.values() if height is not None), default=1.0)
    chosen = {name: least if height is None else height for name, height in found.items()}
    return {family.name: (chosen[family.name],) * len(family.positions) for family in families}


def _last_merge(soft: Soft, family: Family, clusters: Mapping[str, Clusters]) -> float | None:
    """The similarity of the last merge inside a fold's clusters of one family; None where nothing merged."""
    alike = family.similarity(soft.similarities)
    group, rows = family.positions[0]
    members = ([member for member, row in enumerate(rows) if row in cluster] for cluster in clusters[group])
    paths = [merge_path(alike[np.ix_(its, its)], soft.settings.linkage) for its in members]
    return min((path[-1][0] for path in paths if path), default=None)


RUNGS = 64  # how many further merges of a group are looked at


@dataclass(frozen=True, slots=True)
class NearMiss:
    """At `threshold`, below the one used, `stage` would have the shorter `program`; `beyond_chance` where untrained
    networks rarely would."""

    stage: str
    threshold: float
    program: str
    beyond_chance: bool = False

    def __str__(self) -> str:
        return f"at {int(self.threshold * 1000) / 1000:.3f} {self.stage} would become {self.program}"


def near_misses(soft: Soft, plan: FoldPlan, ladders: tuple[Ladder, ...], chance: FoldChance) -> tuple[NearMiss, ...]:
    """For each stage the first merge below those of `plan` that makes its program shorter, if there is one."""
    clusters = {group.name: group.clusters for group in plan.groups}
    now = {stage.name: written(stage.items) for stage in plan.program.stages}
    found: dict[str, NearMiss] = {}
    for ladder in ladders:
        ties = (({g: joined(one.clusters[g], clusters[g]) for g in one.clusters}, one.height) for one in ladder.rungs)
        deeper = [(tied, height) for tied, height in ties if any(len(tied[g]) < len(clusters[g]) for g in tied)]
        for tied, height in deeper[:RUNGS]:
            stages = describe(soft.model.network, soft.model.plan, clusters | tied, soft.structures).stages
            shorter = [stage for stage in stages if written(stage.items) < now[stage.name]]
            beyond = chance.surpassed(ladder.name, height)
            for stage in shorter:
                found.setdefault(stage.name, NearMiss(stage.name, height, stage_text(stage), beyond))
            if shorter:
                break
    return tuple(found.values())


def written(items: tuple[Item, ...]) -> int:
    """Labels that a program writes: its length."""
    return sum(1 if isinstance(item, Step) else written(item.body) for item in items)


@dataclass(frozen=True, slots=True)
class Advice:
    """What untrained networks would merge and what would loop below the threshold.

    Where nothing merged, `would_merge_at` is the highest similarity at which two layers or blocks would, and
    `would_merge_beyond_chance` whether chance rarely reaches it. Version 0.1 stated no `chance`.
    """

    chance: FoldChance | None = None
    near_misses: tuple[NearMiss, ...] = ()
    would_merge_at: float | None = None
    would_merge_beyond_chance: bool | None = None

    def parts(self) -> Iterable[Table | Text]:
        """How many untrained networks would have merged or looped as much, or where the first merge is if there was
        none."""
        chance = self.chance
        if chance is not None and chance.merges is not None:
            loops = "" if chance.loops is None else f", {share_of_draws(chance.loops)} loop as much"
            yield Text(f"of untrained networks {share_of_draws(chance.merges)} merge as much{loops}")
            if max(chance.merges, chance.loops or 0.0) > LIKELY:
                yield Text("that may be chance: `threshold='chance'` merges what 95 % of them do not", "note")
        if self.would_merge_at is not None:
            height = f"{int(self.would_merge_at * 1000) / 1000:.3f}"  # rounded down: the threshold said really merges
            yield Text(f"nothing merged; at `threshold={height}` something would", "note")
            if not self.would_merge_beyond_chance:
                yield Text("in more than 5 % of untrained networks something would merge there too", "note")


def advise(soft: Soft, plan: FoldPlan, choice: Choice) -> Advice:
    """Look at what lies around a fold."""
    chance = chance_of(soft, plan, choice)
    # Only a threshold that a user chose could as well be a little lower.
    ladders = soft.ladders(soft.settings.unit) if soft.settings.chooser == "threshold" else ()
    missed = near_misses(soft, plan, ladders, chance)
    merged = any(group.owners < len(group.layers) for group in plan.groups)
    firsts = [] if merged else [(ladder.rungs[0].height, ladder.name) for ladder in soft.ladders(soft.tied_unit)]
    if not firsts:
        return Advice(chance, missed)
    height, name = max(firsts)
    return Advice(chance, missed, height, chance.surpassed(name, height))
