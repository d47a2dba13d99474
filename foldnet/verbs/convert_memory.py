"""A conversion as Python has it, and converting a network that is in memory and belongs to no run folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from foldnet.converting.settings import ConvertSettings
from foldnet.converting.templates import Conversion, ConvertedGroup, share_kept, to_templates
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import check_known
from foldnet.sharing.plan import SharingPlan, plan_sharing
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.show.report import Report, Scored, Table, Text, percent
from foldnet.store.codec import Count

UNCORRELATED = 0.05  # beyond K of L: so little more than their share do K templates keep of layers that are not alike


@dataclass(frozen=True, slots=True)
class ConvertedSizes:
    """Parameters of the whole network: as it was trained, converted, and of the control."""

    original: Count
    converted: Count
    control: Count


@dataclass(frozen=True, slots=True)
class ConvertedScores:
    """Test scores, None where not measured: of the trained network, of the converted one as it is, with batch norm
    estimated anew and distilled, and of the control likewise; and the number of test images."""

    original: float
    converted: float
    recalibrated: float | None = None
    finetuned: float | None = None
    low_rank: float | None = None
    low_rank_recalibrated: float | None = None
    low_rank_finetuned: float | None = None
    images: Count = 0

    def table(self, task: Task) -> Table:
        """Those that were measured."""
        found = {name: getattr(self, name) for name in self.__slots__[:-1]}
        rows = tuple(
            (name.replace("low_rank", "low rank").replace("_", ", "), task.counted(value, self.images))
            for name, value in found.items()
            if value is not None
        )
        return Table("", (f"test {task.measure}", ""), rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertReport(Scored):
    """What `foldnet convert` says of a network that got templates: the shares of the shared weights' energy that these
    keep, by group and in all (`kept`), and that weights of low rank (`low_rank_kept`, the control) and a mean weight
    with residuals of low rank (`residual_kept`, None where a group has no room for them) keep in the same numbers.

    Of a run also the name or place of the `run` that was written, what it was made from (`source`, a run or a file of
    weights), its `arch`, the epochs of distillation (`finetune`) and test scores.
    """

    computed: ClassVar = ("kept", "low_rank_kept", "residual_kept", *Scored.computed)
    run: str | None = None
    source: str | None = None
    arch: str | None = None
    metric: str
    groups: tuple[ConvertedGroup, ...]
    parameters: ConvertedSizes
    finetune: Count = 0
    score: ConvertedScores | None = None
    task: Task = CLASSES

    @property
    def kept(self) -> float:
        """Share of the energy of all shared weights that the templates keep, 0..1."""
        return share_kept(self.groups, "templates")

    @property
    def low_rank_kept(self) -> float:
        """The same of the control."""
        return share_kept(self.groups, "low_rank")

    @property
    def residual_kept(self) -> float | None:
        """The same of a mean weight and residuals of low rank, None where a group has no room for these."""
        has_room = all(group.energy.residual is not None for group in self.groups)
        return share_kept(self.groups, "residual") if has_room else None

    def parts(self) -> Iterator[Table | Text]:
        """What each group keeps, and the sizes."""
        columns = ("group", "layers", "templates", "numbers", "energy kept", "low rank", "mean and low rank")
        rows: list[tuple[str | int, ...]] = [
            (group.name, len(group.layers), group.templates, group.numbers, *map(_percent, _kept(group)))
            for group in self.groups
        ]
        totals = sum(len(g.layers) for g in self.groups), sum(g.templates for g in self.groups)
        rows.append(("in all", *totals, sum(g.numbers for g in self.groups), *map(_percent, _kept(self))))
        yield Table("energy of the weights that is kept in so many numbers", columns, tuple(rows))
        share = sum(g.templates for g in self.groups) / sum(len(g.layers) for g in self.groups)
        if share < 1 and self.kept < share + UNCORRELATED:
            yield Text(
                "the layers are hardly alike: templates keep little more of their energy than their share of the "
                f"layers, {percent(share, 1)}",
                "note",
            )
        sizes = self.parameters
        yield Table("", ("", "original", "converted", "low rank"), (("parameters", *_each(sizes)),))
        if self.score is not None:
            yield self.score.table(self.task)
        if self.run is not None:
            yield Text(f"wrote {self.run}")


def _each(sizes: ConvertedSizes) -> tuple[int, int, int]:
    """The three counts."""
    return sizes.original, sizes.converted, sizes.control


def _kept(what: ConvertedGroup | ConvertReport) -> tuple[float | None, ...]:
    """The shares that the three ways keep."""
    return what.kept, what.low_rank_kept, what.residual_kept


def _percent(share: float | None) -> str:
    """A share, or a dash."""
    return "–" if share is None else percent(share, 1)


@dataclass(frozen=True, slots=True)
class ConvertedNetwork(Report):
    """A converted network: `soft`, whose layers mix their weights from templates, the `control` of as many numbers,
    whose layers have weights of low rank, and the `report`, which is what shows and what JSON holds."""

    soft: SharedNetwork
    control: SharedNetwork
    report: ConvertReport

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.report.to_json()

    def parts(self) -> Iterable[Table | Text]:
        """The report's."""
        return self.report.parts()


def convert_in_memory(model: nn.Module, chosen: ConvertSettings, batches: Iterable[Any] | None) -> ConvertedNetwork:
    """Give a trained network templates; `model` stays as it was. Raises what `to_templates` and plan_sharing raise."""
    trained = materialise(model) if isinstance(model, SharedNetwork) else model
    plan = plan_sharing(trained, wanted_of(chosen, plan_sharing(trained)))
    return converted(trained, to_templates(trained, plan, chosen.metric, batches), chosen.metric)


def wanted_of(chosen: ConvertSettings, plan: SharingPlan) -> dict[str, int]:
    """How many templates each group of a plan is to get: its own number, else that for all groups, or as many as it has
    layers. Raises UnknownName for a group that is not there."""
    layers, own = {group.name: len(group.layers) for group in plan.groups}, dict(chosen.by_group)
    check_known(own, layers, lambda name: f"group '{name}' does not exist")
    most = chosen.templates
    return {name: own.get(name, count if most is None else min(most, count)) for name, count in layers.items()}


def converted(trained: nn.Module, made: Conversion, metric: str) -> ConvertedNetwork:
    """A conversion with its report."""
    sizes = [sum(one.numel() for one in form.parameters()) for form in (trained, made.soft, made.control)]
    report = ConvertReport(metric=metric, groups=made.groups, parameters=ConvertedSizes(*sizes))
    return ConvertedNetwork(made.soft, made.control, report)
