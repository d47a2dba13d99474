"""What would loop if the threshold were a little lower."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from scipy.cluster.hierarchy import DisjointSet

from foldnet.analysis.clusters import Clusters, partition
from foldnet.choosing.ladders import Ladder
from foldnet.folding.describe import describe
from foldnet.folding.plan import FoldPlan
from foldnet.folding.structures import Structures, structures_of
from foldnet.program.data import Item, Program, Step
from foldnet.program.text import stage_text
from foldnet.sharing.share import SharedNetwork

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
    ladder: str = ""
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
