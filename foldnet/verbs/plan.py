"""foldnet plan: who would share with whom, what that saves, and who would not share and why, before anything is
trained."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from foldnet.bounds import check_number, checked
from foldnet.errors import NothingToFold, SettingError
from foldnet.folding.settings import parse_budget
from foldnet.sharing.plan import Group, SharingPlan, plan_sharing
from foldnet.sharing.share import SharedNetwork
from foldnet.show.report import Report, Table, Text, counted, times
from foldnet.training.runs import open_run
from foldnet.zoo.blueprint import Blueprint, blueprint
from foldnet.zoo.external import noting_allocation
from foldnet.zoo.family import arch_named, runs_code, short_name

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """A group of layers that would share: templates, and the numbers that its weights take before and after."""

    computed: ClassVar = ("before", "after", "saves")
    name: str
    layers: tuple[str, ...]
    templates: int
    shape: tuple[int, ...]

    @property
    def before(self) -> int:
        """Numbers of weights of their own."""
        return len(self.layers) * math.prod(self.shape)

    @property
    def after(self) -> int:
        """Numbers of templates and coefficients."""
        return self.templates * (math.prod(self.shape) + len(self.layers))

    @property
    def saves(self) -> bool:
        """Whether sharing makes it smaller."""
        return self.after < self.before


@dataclass(frozen=True, slots=True)
class PlanReport(Report):
    """What `foldnet plan` says. `templates` is the most of any group; `before` and `after` are the parameters of the
    whole network, `bytes_before` and `bytes_after` those in single precision; `assumed` is what an architecture by name
    is planned for."""

    computed: ClassVar = ("bytes_before", "bytes_after")
    name: str
    templates: int | None
    groups: tuple[PlannedGroup, ...]
    private: tuple[tuple[str, str], ...]
    before: int
    after: int
    assumed: str | None = None
    allocated: bool = False
    arch: str | None = None
    arch_option: dict[str, Any] | None = None

    @property
    def bytes_before(self) -> int:
        """Of the plain network."""
        return FLOAT_BYTES * self.before

    @property
    def bytes_after(self) -> int:
        """Of the soft one."""
        return FLOAT_BYTES * self.after

    def parts(self) -> Iterator[Table | Text]:
        """Sizes, groups, those that sharing does not make smaller, and what stays private, by reason."""
        rows = [("network", self.name), *([("assumed", self.assumed)] if self.assumed else [])]
        rows.append(("parameters", f"{self.before:,} before, {self.after:,} after"))
        rows.append(("share", f"{self.after / self.before:.1%} of what they were"))
        if self.allocated:
            rows.append(("memory", "allocated once, since its constructor needs numbers"))
        yield Table("", (), tuple(rows))
        columns = ("group", "layers", "templates", "weight", "before", "after")
        groups = ((g.name, len(g.layers), g.templates, times(g.shape), g.before, g.after) for g in self.groups)
        yield Table("", columns, tuple(groups))
        idle = [group.name for group in self.groups if not group.saves]
        if idle:
            yield Text(f"sharing saves nothing in {', '.join(idle)}: as many templates as layers, or nearly")
        reasons: dict[str, list[str]] = {}
        for layer, reason in self.private:
            reasons.setdefault(reason, []).append(layer)
        yield from (Text(f"private, {reason}: {', '.join(layers)}") for reason, layers in reasons.items())


@runs_code
@checked
def plan(
    what: Path | str | nn.Module,
    *,
    templates: int | None = None,
    budget: str | None = None,
    classes: int = 10,
    channels: int | None = None,
    arch_option: dict[str, Any] | None = None,
    group_by: str | None = None,
) -> PlanReport:
    """Who would share with whom in an architecture by name, a run, or a plain network in memory.

    `templates` is the most of any group, by default those of its name or run, else one a layer. `budget` ("12M"
    parameters, or "12MB" in single precision) chooses the most templates with which the whole network is no larger.
    `group_by` is "stage" or "position", by default that of the run, else "stage". Nothing is allocated but where a
    constructor needs numbers. Raises UnknownName, SettingError, RunError, and NothingToFold where no layer can share.
    """
    if templates is not None and budget is not None:
        raise SettingError(f"`templates={templates}` and `budget={budget!r}` contradict each other; give one of them")
    if templates is not None:
        check_number("templates", templates)
    if isinstance(what, nn.Module):
        if isinstance(what, SharedNetwork):
            raise SettingError("the network shares its weights already; plan the plain network that it came from")
        return _planned(type(what).__name__, what, templates, budget, group_by or "stage")
    named = None if Path(what).is_dir() else str(what)  # a folder may be called "nets.py:make", and runs nothing
    with arch_named(named), torch.device("meta"), noting_allocation() as allocated:
        built = _built(what, classes, channels, arch_option)
        grouped = group_by or built.group_by
        report = _planned(str(what), built.build_plain(), templates or built.templates, budget, grouped)
    answers = f" and {built.classes} classes" if built.task == "classes" else ""
    taken = f"a context of {built.size} bytes" if built.family.symbols else counted(built.channels, "input channel")
    assumed = None if named is None else f"{taken}{answers}"
    report = replace(report, allocated=bool(allocated), assumed=assumed)
    return replace(report, arch=short_name(built.plain.arch), arch_option=built.named.get("arch_option"))


def _built(what: Path | str, classes: int, channels: int | None, arch_option: dict[str, Any] | None) -> Blueprint:
    """The blueprint of an architecture, or of a run."""
    if Path(what).is_dir():
        return open_run(Path(what)).blueprint
    shape: dict[str, Any] = {"classes": classes, "channels": channels, "arch_option": arch_option}
    return blueprint(str(what), **shape)


def _planned(name: str, network: nn.Module, templates: int | None, budget: str | None, group_by: str) -> PlanReport:
    """The plan of a plain network."""
    found = plan_sharing(network, templates, group_by=group_by)
    if not found.groups:
        raise NothingToFold(f"no two layers of '{name}' have one weight shape in one stage; there is nothing to share")
    before = sum(parameter.numel() for parameter in network.parameters())
    if budget is not None:
        templates = _largest(name, found, before, budget)
        found = plan_sharing(network, templates, group_by=group_by)
    return _report(name, found, templates, before)


def _report(name: str, found: SharingPlan, templates: int | None, before: int) -> PlanReport:
    """A plan with its sizes."""
    groups = tuple(map(_group, found.groups))
    after = before - sum(group.before - group.after for group in groups)
    return PlanReport(name, templates, groups, found.private, before, after)


def _group(group: Group) -> PlannedGroup:
    """A group of a plan."""
    return PlannedGroup(group.name, group.layers, group.templates, group.shape)


def _largest(name: str, found: SharingPlan, before: int, budget: str) -> int:
    """The most templates a group with which the network fits a budget. Raises SettingError where one is too many."""
    numbers, in_bytes = parse_budget(budget)
    most = numbers // FLOAT_BYTES if in_bytes else numbers
    layers = max(len(group.layers) for group in found.groups)

    def size(templates: int) -> int:
        """Parameters with so many."""
        saved = 0
        for group in found.groups:
            kept = PlannedGroup(group.name, group.layers, min(templates, len(group.layers)), group.shape)
            saved += kept.before - kept.after
        return before - saved

    fitting = [templates for templates in range(1, layers + 1) if size(templates) <= most]
    if not fitting:
        raise SettingError(
            f"`budget={budget!r}` is less than '{name}' can have: with one template a group it has {size(1):,} "
            "parameters; give more"
        )
    return fitting[-1]
