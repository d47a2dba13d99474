"""What `foldnet fold` says: of one fold, or of the curve from which a fold is picked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foldnet.choosing.advice import Advice
from foldnet.choosing.sweep import SweepPoint
from foldnet.config import FoldSettings
from foldnet.folding.gained import only_calls_layers
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.plan import GroupFold
from foldnet.folding.structures import KeptApart
from foldnet.proof.prove import Proof
from foldnet.show.report import Report, Table, percent
from foldnet.store.codec import Count, Share, to_plain


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Test accuracies 0..1 along a fold, None where not measured, and the number of test images.

    `soft_finetuned` is the control: the soft network trained for as many more epochs.
    """

    soft: float | None = None
    soft_recalibrated: float | None = None
    tied: float | None = None
    recalibrated: float | None = None
    finetuned: float | None = None
    soft_finetuned: float | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """One count of each form of the whole network: parameters, or bytes of a file."""

    soft: int
    dense: int
    folded: int


@dataclass(frozen=True, slots=True)
class FoldReport(Report):
    """One fold.

    `fold` is None for a dry run and for a network in memory, which has no `run` either; `network` is what was folded, looped.
    `threshold` is None where none was used, `validation_accuracy` that of the sweep's point where one was picked. `shares` are the
    tied layers' shares of the added validation loss (0..1), None where not measured. `advice` says what untrained networks would
    merge, and what would merge or loop below the threshold. `greedy` names the stages with
    so many blocks that their loops were searched for greedily: a shorter program may exist. `kept_apart` says which attributes keep
    which blocks from being merged; `proof` how looped and tied network were compared, None where that was not done. `unproven` says so
    where it matters: no comparison of attributes tells what a forward does with its layers beyond calling them.
    """

    computed: ClassVar = (
        *(f"{name}=settings.{name}" for name in ("tie", "unit", "linkage", "checkpoint")),
        *("kept=settings.keep", "ignored=settings.ignore", "finetune", "groups=folded_groups"),
        *("chance=advice.chance", "near_misses=advice.judged"),
        *(
            "unproven",
            "would_merge_at=advice.first_merge.height",
            "would_merge_beyond_chance=advice.first_merge.beyond_chance",
        ),
    )
    unwritten: ClassVar = ("settings", "groups", "shares", "advice", "network")
    fold: str | None
    run: str | None
    threshold: float | dict[str, float] | None
    why: str
    validation_accuracy: float | None
    settings: FoldSettings
    metric: str
    groups: tuple[GroupFold, ...]
    shares: Mapping[str, float] | None
    program: str
    loops: int
    reuses: int
    advice: Advice
    accuracy: Accuracies
    parameters: Sizes
    bytes: Sizes
    greedy: tuple[str, ...]
    measure: str = "accuracy"
    kept_apart: tuple[KeptApart, ...] = ()
    proof: Proof | None = None
    network: LoopedNetwork | None = field(default=None, repr=False, compare=False)

    @property
    def finetune(self) -> dict[str, Any]:
        """How it was trained after it was tied."""
        settings = self.settings
        return {"epochs": settings.finetune, "lr": settings.finetune_lr, "distill": settings.distill}

    @property
    def unproven(self) -> str | None:
        """That looped was not run against tied, of a network whose classes do not declare that they only call their layers."""
        if self.proof is not None or self.network is None or only_calls_layers(self.network.network):
            return None
        return "looped was not run against tied, and may compute something else; give `inputs`, what the network is called with"

    @property
    def folded_groups(self) -> list[dict[str, Any]]:
        """Every group, its layers by their names."""
        return [self._group(group) for group in self.groups]

    def tables(self) -> tuple[Table, ...]:
        """The forms with what they store, the accuracies along the fold, and the groups."""
        forms = tuple((form, getattr(self.parameters, form), getattr(self.bytes, form)) for form in Sizes.__slots__)
        scores = tuple(
            (name.replace("_", ", "), percent(value))
            for name, value in to_plain(self.accuracy).items()
            if name != "images" and value is not None
        )
        groups = tuple(
            (group.name, len(group.layers), group.owners, group.stored, group.templates) for group in self.groups
        )
        return (
            Table(f"{self.run or 'network in memory'}: {self.loops} loops", ("form", "parameters", "bytes"), forms),
            *([Table("", ("", f"{self.measure} on {self.accuracy.images}"), scores)] if scores else []),
            Table("", ("group", "layers", "owners", "stored weights", "templates"), groups),
        )

    def texts(self) -> tuple[str, ...]:
        """The program, and what was not proven of it."""
        return (self.program,) if self.unproven is None else (self.program, self.unproven)

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
    """Validation accuracies (0..1) of the soft network that a sweep begins with."""

    soft: Share
    soft_recalibrated: Share


@dataclass(frozen=True, slots=True)
class Knee:
    """The index of a unit's point, and why it is the one."""

    point: Count
    why: str


@dataclass(frozen=True, slots=True)
class SweepReport(Report):
    """The curve: validation accuracy, tied and recalibrated, against what is stored, for each unit.

    `dense_numbers` are the shared weights' numbers when written out. `file` is where the same was written as JSON, `of` what it
    depends on: weights, images and settings.
    """

    run: str
    file: str | None
    metric: str
    tie: str
    linkage: str
    accuracy: Unfolded
    images: Count
    dense_numbers: Count
    units: dict[str, tuple[SweepPoint, ...]]
    knee: dict[str, Knee]
    seconds: float
    measure: str = "accuracy"
    of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def soft(self) -> float:
        """The soft network's validation accuracy."""
        return self.accuracy.soft

    def tables(self) -> tuple[Table, ...]:
        """A row for each fold of the curve."""
        columns = ("clustered by", "owners", "stored numbers", "of dense", "loops", f"validation {self.measure}")
        rows = tuple(
            (
                unit,
                point.owners,
                point.stored_numbers,
                percent(point.stored_numbers / self.dense_numbers, 1),
                point.loops,
                percent(point.accuracy),
            )
            for unit, points in self.units.items()
            for point in points
        )
        return (Table(f"{self.run}: soft {percent(self.soft)}", columns, rows),)
