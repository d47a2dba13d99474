"""What else a fold could have been, and whether chance alone would make it so."""

from dataclasses import dataclass, replace
from typing import ClassVar

from foldnet.choosing.chance import FoldChance, chance_of
from foldnet.choosing.choose import Choice, Soft
from foldnet.choosing.near_misses import NearMiss, near_misses
from foldnet.folding.plan import FoldPlan


@dataclass(frozen=True, slots=True)
class FirstMerge:
    """The highest similarity at which two layers or blocks that may be tied would be, and whether chance rarely reaches it."""

    height: float
    beyond_chance: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """What untrained networks would merge, what would loop below the threshold, and where the first merge is if there was none."""

    computed: ClassVar = (
        "near_misses=judged",
        "would_merge_at=first_merge.height",
        "would_merge_beyond_chance=first_merge.beyond_chance",
    )
    unwritten: ClassVar = ("near_misses", "first_merge")
    chance: FoldChance
    near_misses: tuple[NearMiss, ...]
    first_merge: FirstMerge | None

    @property
    def judged(self) -> tuple[NearMiss, ...]:
        """The near misses, each with whether it is beyond chance."""
        surpassed = self.chance.surpassed
        return tuple(replace(miss, beyond_chance=surpassed(miss.ladder, miss.threshold)) for miss in self.near_misses)

    def worth_saying(self) -> tuple[NearMiss, ...]:
        """The near misses beyond chance: the others would loop as an untrained network does."""
        return tuple(miss for miss, judged in zip(self.near_misses, self.judged, strict=True) if judged.beyond_chance)


def advise(soft: Soft, plan: FoldPlan, choice: Choice) -> Advice:
    """Look at what lies around a fold."""
    chance = chance_of(soft, plan, choice)
    return Advice(chance, _near_misses(soft, plan), _first_merge(soft, plan, chance))


def _near_misses(soft: Soft, plan: FoldPlan) -> tuple[NearMiss, ...]:
    """What would loop at a lower threshold, where a user chose one."""
    if soft.settings.chooser != "threshold":
        return ()
    return near_misses(soft.model, plan, soft.ladders(soft.settings.unit), soft.structures)


def _first_merge(soft: Soft, plan: FoldPlan, chance: FoldChance) -> FirstMerge | None:
    """Where the first merge would be, where nothing merged."""
    if any(group.owners < len(group.layers) for group in plan.groups):
        return None
    found = [(ladder.rungs[0].height, ladder.name) for ladder in soft.ladders(soft.tied_unit)]
    if not found:
        return None
    height, name = max(found)
    return FirstMerge(height, chance.surpassed(name, height))
