"""What a fold says of itself: the report that `foldnet fold` shows and that report.json keeps, and how it is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from foldnet.choosing.advice import LIKELY, Advice
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import RunError
from foldnet.folding.folds import Fold
from foldnet.folding.structures import KeptApart
from foldnet.folding.verdict import LoopVerdict, verdict_table
from foldnet.program.data import letters
from foldnet.proof.prove import Proof
from foldnet.show.report import Report, Table, Text, counted, percent, share_of_draws
from foldnet.store.codec import Count, Share, from_plain, read_json


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
    images: Count | None = None

    def known(self) -> dict[str, float]:
        """Those that were measured, by form."""
        return {name: value for name in self.__slots__[:-1] if (value := getattr(self, name)) is not None}

    def parts(self, task: Task) -> Iterator[Table | Text]:
        """Those that were measured, as a table."""
        if self.images is None:
            yield Text("not evaluated: batch norm is as it was before tying", "note")
            return
        known, images = self.known(), self.images
        rows = tuple((name.replace("_", ", "), task.counted(value, images)) for name, value in known.items())
        yield Table("", (f"test {task.measure}", ""), rows)


@dataclass(frozen=True, slots=True)
class Sizes:
    """One count of each form of the whole network: parameters, or bytes of a file."""

    soft: Count
    dense: Count
    folded: Count


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a fold was trained after it was tied: not at all with 0 epochs."""

    epochs: Count
    lr: float | None
    distill: bool


@dataclass(frozen=True, slots=True)
class TiedLayer:
    """A layer of a group: its owner, gain and ||W - V|| / ||W|| of the weight V that it uses as tied, residual
    included, before any fine-tuning, and its share of the added validation loss, None where that was not measured."""

    name: str
    owner: Count
    gain: float
    error: float
    added_loss_share: Share | None = None


@dataclass(frozen=True, slots=True)
class TiedGroup:
    """A group as it was folded: clusters of layers by name, owners, weights of so many numbers that are stored, and the
    numbers that residuals take.

    `chance` is the share of untrained networks in which it would merge as much, None where nothing merged.
    """

    name: str
    clusters: tuple[tuple[str, ...], ...]
    owners: Count
    templates: Count
    stored: Count
    weight_numbers: Count
    layers: tuple[TiedLayer, ...]
    chance: Share | None = None
    residual_numbers: Count = 0

    def row(self, residuals: bool) -> tuple[str | int, ...]:
        """The group in a table; what chance would merge as well is marked."""
        marked = " (!)" if (self.chance or 0.0) > LIKELY else ""
        chance = "" if self.chance is None else share_of_draws(self.chance) + marked
        numbers = (self.residual_numbers,) if residuals else ()
        return self.name, len(self.layers), self.templates, self.owners, self.stored, *numbers, chance

    def ties(self) -> Iterator[tuple[str, ...]]:
        """A row for each layer that is not alone: which are tied, how well, and which of them hurts."""
        layers = {layer.name: layer for layer in self.layers}
        for owner, cluster in enumerate(self.clusters):
            for layer in (layers[name] for name in cluster if len(cluster) > 1):
                share = () if layer.added_loss_share is None else (percent(layer.added_loss_share, 0),)
                yield (layer.name, letters(owner), f"{layer.gain:+.2f}", percent(layer.error, 1), *share)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldReport(Advice, Report):
    """One fold, and what lies around it.

    `fold` is None for a dry run and for a network in memory, which has no `run` either. `threshold` is None where none
    was used, `residual` is the rank that was asked for, `validation_score` that of the sweep's point where one was
    picked; accuracies are scores that are shares, 0..1, and all that older reports state. `greedy` names the stages
    with so many blocks that their loops were searched for greedily: a shorter program may exist. `kept_apart` says
    which attributes keep which blocks from being merged; `proof` how looped and tied network were compared, None where
    that was not done. `unproven` says so of a network whose classes do not declare that they only call their layers: no
    comparison of attributes tells what else a forward does with them. `dial` says of each loop whether it is an
    iteration or a habit, where that was asked; no file keeps it. What version 0.1 did not state is None.
    """

    unwritten: ClassVar = ("task",)
    fold: str | None
    run: str | None
    threshold: float | dict[str, float] | None
    why: str
    metric: str
    tie: str
    unit: str
    linkage: str
    checkpoint: str
    kept: tuple[str, ...]
    ignored: tuple[str, ...]
    finetune: Tuning
    groups: tuple[TiedGroup, ...]
    program: str
    loops: Count
    reuses: Count
    accuracy: Accuracies = Accuracies()
    validation_accuracy: float | None = None
    parameters: Sizes
    bytes: Sizes
    score: Accuracies | None = None
    validation_score: float | None = None
    greedy: tuple[str, ...] | None = None
    measure: str = "accuracy"
    better: str | None = None
    kept_apart: tuple[KeptApart, ...] | None = None
    proof: Proof | None = None
    unproven: str | None = None
    residual: Count = 0
    dial: tuple[LoopVerdict, ...] | None = None
    task: Task = CLASSES

    @property
    def layers(self) -> dict[str, TiedLayer]:
        """All layers of all groups, by name."""
        return {layer.name: layer for group in self.groups for layer in group.layers}

    @property
    def is_tuned(self) -> bool:
        """Whether the fold was trained after it was tied."""
        return self.finetune.epochs > 0

    def stated(self) -> dict[str, float]:
        """The scores that it states by form, accuracies where the task has them; that of a sweep's point is
        "validation"."""
        share = self.task.share
        scores = self.accuracy if share else self.score or Accuracies()
        validation = self.validation_accuracy if share else self.validation_score
        return scores.known() | ({} if validation is None else {"validation": validation})

    def measured(self, score: Accuracies, task: Task) -> "FoldReport":
        """The same with test scores of a task."""
        accuracy = score if task.share else Accuracies(images=score.images)
        validation = self.validation_score if task.share else None
        named = replace(self, task=task, measure=task.measure, better=task.better)
        return replace(named, score=score, accuracy=accuracy, validation_accuracy=validation)

    def parts(self) -> Iterator[Table | Text]:
        """The program and what was not proven of it, what chose it, what is tied and stored, and the accuracies on the
        way."""
        yield Text(self.program)
        if self.unproven is not None:
            yield Text(self.unproven, "note")
        yield from (Text(f"near miss: {miss}", "dim") for miss in self.near_misses or () if miss.beyond_chance)
        if self.greedy:
            stages = ", ".join(self.greedy)
            yield Text(f"{stages}: too many blocks to try every program, a shorter one may exist", "note")
        yield Text(f"\nchosen: {self.why}")
        if self.kept:
            yield Text(f"kept out of clustering: {', '.join(self.kept)}")
        if self.ignored:
            yield Text(f"attributes that were not compared: {', '.join(self.ignored)}")
        yield from _apart(self.kept_apart or ())
        residuals = (f"residuals of rank {self.residual}",) if self.residual else ()
        columns = ("group", "layers", "templates", "owners", "stored", *residuals, "by chance")
        title = f"{self.run or 'network in memory'}: {counted(self.loops, 'loop')}"
        yield Table(title, columns, tuple(group.row(bool(residuals)) for group in self.groups))
        ties = tuple(row for group in self.groups for row in group.ties())
        if any((group.chance or 0.0) > LIKELY for group in self.groups):
            said = "(!) more than 5 % of untrained networks would merge as much in that group"
            yield Text(f"{said}\n" if ties else said)
        if ties:
            names = ("tied layer", "owner", "gain", "weight error", "share of added validation loss")
            yield Table("", names[: len(ties[0])], ties)
        yield Text(f"\nloops {self.loops}, reuses {self.reuses}")
        yield from Advice.parts(self)
        forms = tuple(Sizes.__slots__)
        sizes = {"parameters": self.parameters, "bytes": self.bytes}
        rows = tuple((name, *(getattr(counts, form) for form in forms)) for name, counts in sizes.items())
        yield Table("", ("", *forms), rows)
        yield from (self.score or self.accuracy).parts(self.task)
        yield from verdict_table(self.dial or (), self.task)
        if self.run is not None:
            yield Text(f"wrote {self.fold}" if self.fold is not None else "dry run: nothing written")


def read_fold_report(fold: Fold) -> FoldReport:
    """What report.json says of a fold. Raises RunError where it is missing or no fold's."""
    try:
        return parsed_fold_report(fold)
    except ValueError as error:
        file = fold.folder / "report.json"
        raise RunError(f"'{file}' is not the report of a fold ({error}); fold the run again") from None


def parsed_fold_report(fold: Fold) -> FoldReport:
    """The same. Raises RunError where it is missing or not JSON, ValueError, saying where, for what foldnet does not
    write."""
    return replace(from_plain(FoldReport, read_json(fold.folder / "report.json")), task=fold.task)


def _apart(found: Sequence[KeptApart]) -> Iterator[Text]:
    """One line for each attribute of each sequence: the first two blocks that it keeps apart, and how many more."""
    together: dict[tuple[str, str], list[KeptApart]] = {}
    for entry in found:
        together.setdefault((entry.sequence, entry.attribute), []).append(entry)
    for (_, attribute), (first, *others) in together.items():
        more = f", and {len(others)} more" if others else ""
        yield Text(f"kept apart by '{attribute}': {' and '.join(first.blocks)} ({first.reason}){more}", "dim")
