"""What else a fold could have been, and whether chance alone would make it so."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from foldnet.choosing.chance import LIKELY, FoldChance, chance_of
from foldnet.choosing.choose import Choice, Soft
from foldnet.choosing.near_misses import NearMiss, near_misses
from foldnet.folding.plan import FoldPlan
from foldnet.show.report import Text
from foldnet.show.scores import share_of_draws


@dataclass(frozen=True, slots=True)
class FirstMerge:
    """The highest similarity at which two layers or blocks that may be tied would be, and whether chance rarely reaches
    it."""

    height: float
    beyond_chance: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """What untrained networks would merge, what would loop below the threshold, and where the first merge is if there
    was none."""

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

    def parts(self) -> Iterator[Text]:
        """How many untrained networks would have merged or looped as much, or where the first merge is if there was
        none."""
        chance, first = self.chance, self.first_merge
        if chance.merges is not None:
            loops = "" if chance.loops is None else f", {share_of_draws(chance.loops)} loop as much"
            yield Text(f"of untrained networks {share_of_draws(chance.merges)} merge as much{loops}")
            if max(chance.merges, chance.loops or 0.0) > LIKELY:
                yield Text("that may be chance: `threshold='chance'` merges what 95 % of them do not", "note")
        if first is not None:
            height = f"{int(first.height * 1000) / 1000:.3f}"  # rounded down, so that the threshold said really merges
            yield Text(f"nothing merged; at `threshold={height}` something would", "note")
            if not first.beyond_chance:
                yield Text("but so it would in more than 5 % of untrained networks", "note")

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
