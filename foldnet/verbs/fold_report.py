"""What `foldnet fold` says: of one fold, or of the curve from which a fold is picked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foldnet.choosing.advice import Advice
from foldnet.choosing.chance import LIKELY
from foldnet.choosing.sweep import SweepPoint
from foldnet.data.tasks import CLASSES, Task
from foldnet.folding.plan import GroupFold
from foldnet.folding.settings import FoldSettings
from foldnet.folding.structures import KeptApart
from foldnet.program.data import letters
from foldnet.proof.prove import Proof
from foldnet.show.report import Report, Table, Text, percent, share_of_draws
from foldnet.store.codec import Count


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Test scores along a fold, None where not measured, and the number of test images.

    `soft_finetuned` is the control: the soft network trained for as many more epochs.
    """

    soft: float | None = None
    soft_recalibrated: float | None = None
    tied: float | None = None
    recalibrated: float | None = None
    finetuned: float | None = None
    soft_finetuned: float | None = None
    images: int | None = None

    def parts(self, task: Task) -> Iterator[Table | Text]:
        """Those that were measured."""
        if self.images is None:
            yield Text("not evaluated: batch norm is as it was before tying", "note")
            return
        known = {name: getattr(self, name) for name in self.__slots__[:-1] if getattr(self, name) is not None}
        rows = tuple((name.replace("_", ", "), task.counted(value, self.images)) for name, value in known.items())
        yield Table("", (f"test {task.measure}", ""), rows)


@dataclass(frozen=True, slots=True)
class Sizes:
    """One count of each form of the whole network: parameters, or bytes of a file."""

    soft: int
    dense: int
    folded: int


@dataclass(frozen=True, slots=True)
class FoldReport(Report):
    """One fold.

    `fold` is None for a dry run and for a network in memory, which has no `run` either. `threshold` is None where none
    was used, `validation_score` that of the sweep's point where one was picked; accuracies are scores that are shares,
    0..1. `shares` are the tied layers' shares of the added validation loss (0..1), None where not measured. `advice`
    says what untrained networks would merge, and what would merge or loop below the threshold. `greedy` names the
    stages with so many blocks that their loops were searched for greedily: a shorter program may exist. `kept_apart`
    says which attributes keep which blocks from being merged; `proof` how looped and tied network were compared, None
    where that was not done. `unproven` says so of a network whose classes do not declare that they only call their
    layers: no comparison of attributes tells what else a forward does with them.
    """

    computed: ClassVar = (
        *(f"{name}=settings.{name}" for name in ("tie", "unit", "linkage", "checkpoint")),
        *("kept=settings.keep", "ignored=settings.ignore", "finetune", "groups=folded_groups"),
        *("chance=advice.chance", "near_misses=advice.judged", "would_merge_at=advice.first_merge.height"),
        *("accuracy", "validation_accuracy", "measure=task.measure", "better=task.better"),
        "would_merge_beyond_chance=advice.first_merge.beyond_chance",
    )
    unwritten: ClassVar = ("settings", "groups", "shares", "advice", "task")
    fold: str | None
    run: str | None
    threshold: float | dict[str, float] | None
    why: str
    validation_score: float | None
    settings: FoldSettings
    metric: str
    groups: tuple[GroupFold, ...]
    shares: Mapping[str, float] | None
    program: str
    loops: int
    reuses: int
    advice: Advice
    score: Accuracies
    parameters: Sizes
    bytes: Sizes
    greedy: tuple[str, ...]
    task: Task = CLASSES
    kept_apart: tuple[KeptApart, ...] = ()
    proof: Proof | None = None
    unproven: str | None = None

    @property
    def accuracy(self) -> Accuracies:
        """The scores where they are shares."""
        return self.score if self.task.share else Accuracies(images=self.score.images)

    @property
    def validation_accuracy(self) -> float | None:
        """The validation score where it is a share."""
        return self.validation_score if self.task.share else None

    @property
    def finetune(self) -> dict[str, Any]:
        """How it was trained after it was tied."""
        settings = self.settings
        return {"epochs": settings.finetune, "lr": settings.finetune_lr, "distill": settings.distill}

    @property
    def folded_groups(self) -> list[dict[str, Any]]:
        """Every group, its layers by their names."""
        return [self._group(group) for group in self.groups]

    def parts(self) -> Iterator[Table | Text]:
        """The program and what was not proven of it, what chose it, what is tied and stored, and the accuracies on the
        way."""
        yield Text(self.program)
        if self.unproven is not None:
            yield Text(self.unproven, "note")
        yield from (Text(f"near miss: {miss}", "dim") for miss in self.advice.worth_saying())
        if self.greedy:
            stages = ", ".join(self.greedy)
            yield Text(f"{stages}: too many blocks to try every program, a shorter one may exist", "note")
        yield Text(f"\nchosen: {self.why}")
        if self.settings.keep:
            yield Text(f"kept out of clustering: {', '.join(self.settings.keep)}")
        if self.settings.ignore:
            yield Text(f"attributes that were not compared: {', '.join(self.settings.ignore)}")
        yield from _kept_apart(self.kept_apart)
        columns = ("group", "layers", "templates", "owners", "stored", "by chance")
        yield Table(
            f"{self.run or 'network in memory'}: {self.loops} loops", columns, tuple(map(self._row, self.groups))
        )
        last = () if self.shares is None else ("share of added validation loss",)
        ties = tuple(row for group in self.groups for row in self._ties(group))
        if ties:
            yield Table("", ("tied layer", "owner", "gain", "weight error", *last), ties)
        yield Text(f"\nloops {self.loops}, reuses {self.reuses}")
        yield from self.advice.parts()
        forms = tuple(Sizes.__slots__)
        sizes = {"parameters": self.parameters, "bytes": self.bytes}
        rows = tuple((name, *(getattr(counts, form) for form in forms)) for name, counts in sizes.items())
        yield Table("", ("", *forms), rows)
        yield from self.score.parts(self.task)
        if self.run is not None:
            yield Text(f"wrote {self.fold}" if self.fold is not None else "dry run: nothing written")

    def _row(self, group: GroupFold) -> tuple[str | int, ...]:
        """How a group was folded, and the share of untrained networks in which it would merge as much."""
        found = self.advice.chance.of_group(group.name)
        chance = "" if found is None else share_of_draws(found) + (" (!)" if found > LIKELY else "")
        return group.name, len(group.layers), group.templates, group.owners, group.stored, chance

    def _ties(self, group: GroupFold) -> Iterator[tuple[str, ...]]:
        """Which layers are tied, how well, and which of them hurts."""
        for owner, cluster in enumerate(group.clusters):
            for row in cluster if len(cluster) > 1 else ():
                layer, tie = group.layers[row], group.tie
                share = () if self.shares is None else (percent(self.shares.get(layer, 0.0), 0),)
                yield (layer, letters(owner), f"{tie.gains[row]:+.2f}", percent(float(tie.errors[row]), 1), *share)

    def _group(self, group: GroupFold) -> dict[str, Any]:
        """One group; gains and errors are those of tying, before any fine-tuning."""
        tie, shares = group.tie, self.shares
        return {
            "name": group.name,
            "clusters": [[group.layers[row] for row in cluster] for cluster in group.clusters],
            "owners": group.owners,
            "templates": group.templates,
            "stored": group.stored,
            "weight_numbers": group.weight_numbers,
            "chance": self.advice.chance.of_group(group.name),
            "layers": [
                {
                    "name": layer,
                    "owner": int(tie.assignment[row]),
                    "gain": float(tie.gains[row]),
                    "error": float(tie.errors[row]),
                    "added_loss_share": None if shares is None else shares.get(layer, 0.0),
                }
                for row, layer in enumerate(group.layers)
            ],
        }


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Validation scores of the soft network that a sweep begins with."""

    soft: float
    soft_recalibrated: float


@dataclass(frozen=True, slots=True)
class Knee:
    """The index of a unit's point, and why it is the one."""

    point: Count
    why: str


@dataclass(frozen=True, slots=True)
class SweepReport(Report):
    """The curve: validation score, tied and recalibrated, against what is stored, for each unit.

    `dense_numbers` are the shared weights' numbers when written out. `file` is where the same was written as JSON, `of`
    what it depends on: weights, images and settings.
    """

    computed: ClassVar = ("measure=task.measure", "better=task.better")
    unwritten: ClassVar = ("task",)
    run: str
    file: str | None
    metric: str
    tie: str
    linkage: str
    score: Unfolded
    accuracy: Unfolded | None
    images: Count
    dense_numbers: Count
    units: dict[str, tuple[SweepPoint, ...]]
    knee: dict[str, Knee]
    seconds: float
    task: Task = CLASSES
    of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def soft(self) -> float:
        """The soft network's validation score."""
        return self.score.soft

    def parts(self) -> Iterator[Table | Text]:
        """A table a unit: every merge, what is stored after it, and what that scores."""
        task = self.task
        soft, anew = (task.counted(value, self.images) for value in (self.soft, self.score.soft_recalibrated))
        yield Text(
            f"validation {task.measure}, tied and recalibrated; the soft network has {soft}, recalibrated {anew}"
        )
        right = "right" if task.proportion else "wholly right"
        columns = ("merged", "similar", "owners", "stored", "bytes", "loops", task.measure, right, "knee")
        for unit, points in self.units.items():
            rows = tuple(
                (
                    point.merged or "(nothing)",
                    "" if point.height is None else f"{point.height:.3f}",
                    point.owners,
                    percent(point.stored_numbers / self.dense_numbers, 1),
                    point.bytes,
                    point.loops,
                    task.written(point.score).removeprefix(f"{task.measure} "),
                    point.right,
                    "yes" if index == self.knee[unit].point else "",
                )
                for index, point in enumerate(points)
            )
            yield Table(f"by {unit} (stored: share of the dense shared weights)", columns, rows)
            yield Text(f"knee: {self.knee[unit].why}")
        yield Text(f"\n{self.seconds:.1f} s" + (f", wrote {self.file}" if self.file else ""))


def _kept_apart(found: Sequence[KeptApart]) -> Iterator[Text]:
    """One line for each attribute of each sequence: the first two blocks that it keeps apart, and how many more."""
    together: dict[tuple[str, str], list[KeptApart]] = {}
    for entry in found:
        together.setdefault((entry.sequence, entry.attribute), []).append(entry)
    for (_, attribute), (first, *others) in together.items():
        more = f", and {len(others)} more" if others else ""
        yield Text(f"kept apart by '{attribute}': {' and '.join(first.blocks)} ({first.reason}){more}", "dim")
