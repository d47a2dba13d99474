"""What else a fold could have been, and whether chance alone would make it so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from scipy.cluster.hierarchy import DisjointSet

from foldnet.analysis.clusters import Clusters, partition
from foldnet.choosing.chance import LIKELY, FoldChance, chance_of
from foldnet.choosing.choose import Choice, Soft
from foldnet.choosing.sweep import Ladder
from foldnet.folding.plan import FoldPlan
from foldnet.folding.structures import Structures, describe, structures_of
from foldnet.program.data import Item, Program, Step
from foldnet.program.text import stage_text
from foldnet.sharing.share import SharedNetwork
from foldnet.show.report import Table, Text, share_of_draws

RUNGS = 64  # how many further merges of a group are looked at


@dataclass(frozen=True, slots=True)
class NearMiss:
    """At `threshold`, below the one used, `stage` would have the shorter `program`; `ladder` is the dendrogram that
    says so.

    `beyond_chance` where untrained networks rarely would.
    """

    unwritten: ClassVar = ("ladder",)
    stage: str
    threshold: float
    program: str
    ladder: str = field(default="", compare=False)
    beyond_chance: bool = False

    def __str__(self) -> str:
        return f"at {int(self.threshold * 1000) / 1000:.3f} {self.stage} would become {self.program}"


def near_misses(
    model: SharedNetwork, plan: FoldPlan, ladders: tuple[Ladder, ...], structures: Structures | None = None
) -> tuple[NearMiss, ...]:
    """For each stage the first merge below those of `plan` that makes its program shorter, if there is one."""
    structures = structures or structures_of(model.network, model.plan)
    clusters = {group.name: group.clusters for group in plan.groups}
    now = {stage.name: written(stage.items) for stage in plan.program.stages}
    found: dict[str, NearMiss] = {}
    for ladder in ladders:
        ties = (
            ({g: _both(rung.clusters[g], clusters[g]) for g in rung.clusters}, rung.height) for rung in ladder.rungs
        )
        deeper = [(tied, height) for tied, height in ties if any(len(tied[g]) < len(clusters[g]) for g in tied)]
        for tied, height in deeper[:RUNGS]:
            stages = _program(model, plan, clusters | tied, structures).stages
            shorter = [stage for stage in stages if written(stage.items) < now[stage.name]]
            for stage in shorter:
                found.setdefault(stage.name, NearMiss(stage.name, height, stage_text(stage), ladder.name))
            if shorter:
                break
    return tuple(found.values())


def written(items: tuple[Item, ...]) -> int:
    """Labels that a program writes: its length."""
    return sum(1 if isinstance(item, Step) else written(item.body) for item in items)


def _both(rung: Clusters, present: Clusters) -> Clusters:
    """What is tied by either: a rung of one family of blocks says nothing of another family's ties."""
    sets = DisjointSet(range(sum(map(len, present))))
    for cluster in (*rung, *present):
        for row in cluster[1:]:
            sets.merge(cluster[0], row)
    return partition([list(found) for found in sets.subsets()], sum(map(len, present)))


def _program(model: SharedNetwork, plan: FoldPlan, clusters: Mapping[str, Clusters], structures: Structures) -> Program:
    """The program that some clusters would give."""
    owners = {
        group.layers[row]: (group.name, owner)
        for group in plan.groups
        for owner, cluster in enumerate(clusters[group.name])
        for row in cluster
    }
    return describe(model.network, model.plan, owners, structures)


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
                yield Text("but so it would in more than 5 % of untrained networks", "note")


def advise(soft: Soft, plan: FoldPlan, choice: Choice) -> Advice:
    """Look at what lies around a fold."""
    chance = chance_of(soft, plan, choice)
    return Advice(chance, judged(_near_misses(soft, plan), chance), *_first_merge(soft, plan, chance))


def judged(misses: Iterable[NearMiss], chance: FoldChance) -> tuple[NearMiss, ...]:
    """The near misses, each with whether it is beyond chance, of which its own ladder tells."""
    return tuple(replace(miss, beyond_chance=chance.surpassed(miss.ladder, miss.threshold)) for miss in misses)


def _near_misses(soft: Soft, plan: FoldPlan) -> tuple[NearMiss, ...]:
    """What would loop at a lower threshold, where a user chose one."""
    if soft.settings.chooser != "threshold":
        return ()
    return near_misses(soft.model, plan, soft.ladders(soft.settings.unit), soft.structures)


def _first_merge(soft: Soft, plan: FoldPlan, chance: FoldChance) -> tuple[float | None, bool | None]:
    """Where the first merge would be, and whether beyond chance, where nothing merged."""
    found = [(ladder.rungs[0].height, ladder.name) for ladder in soft.ladders(soft.tied_unit)]
    if not found or any(group.owners < len(group.layers) for group in plan.groups):
        return None, None
    height, name = max(found)
    return height, chance.surpassed(name, height)
