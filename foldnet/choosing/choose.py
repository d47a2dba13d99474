"""Which clusters a fold ties: by thresholds, by the user's file, or from the sweep's curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from torch import nn

from foldnet.analysis.clusters import Clusters, check_clusters, partition
from foldnet.analysis.similarity import Matrix
from foldnet.choosing.sweep import Curve, Ladder, SweepPoint, check_budget, complete_tying, ladders_of, pick
from foldnet.choosing.untrained import chance_levels
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import SettingError, check_known
from foldnet.folding.groups import Family, GroupAlgebra, check_metric, cut_families, families_of, groups_of
from foldnet.folding.looped import loop_used_up
from foldnet.folding.owners import ranks_of, tie_rows
from foldnet.folding.plan import FoldPlan, GroupFold, apply_fold, soft_network
from foldnet.folding.settings import FoldSettings, parse_budget
from foldnet.folding.structures import Structures, describe, structures_of
from foldnet.sharing.share import SharedNetwork
from foldnet.store.codec import parse_json, read_text, reading
from foldnet.store.tensors import file_bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """The clusters to tie, the threshold to report (None where there is none), why, and the point of the sweep."""

    clusters: dict[str, Clusters]
    threshold: float | dict[str, float] | None
    why: str
    point: SweepPoint | None


@dataclass(frozen=True, slots=True)
class Soft:
    """A soft network with its small matrices, and what of it may be folded."""

    model: SharedNetwork
    algebra: tuple[GroupAlgebra, ...]
    settings: FoldSettings
    metric: str
    structures: Structures

    @property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """The layers of every group."""
        return {entry.group.name: entry.group.layers for entry in self.algebra}

    @property
    def similarities(self) -> dict[str, Matrix]:
        """The layer similarity matrix (L, L) of every group."""
        return {entry.group.name: entry.similarity(self.metric) for entry in self.algebra}

    def chosen_groups(self) -> list[str]:
        """The groups to fold. Raises UnknownName for one that does not exist."""
        names = list(self.layers)
        listed = f"; there are {', '.join(names)}"
        check_known(self.settings.groups, names, lambda name: f"`groups` names '{name}', which does not exist", listed)
        return list(self.settings.groups) or names

    def kept(self) -> frozenset[str]:
        """The layers that are never tied. Raises UnknownName for one that does not share."""
        layers = list(chain(*self.layers.values()))
        mend = "; give one that `foldnet.lsm()` prints"
        said = "`keep` names '{}', which is not a layer that shares".format
        check_known(self.settings.keep, layers, said, mend)
        return frozenset(self.settings.keep)

    def families(self, unit: str) -> tuple[Family, ...]:
        """What the dendrograms of the chosen groups merge."""
        chosen = self.chosen_groups()
        algebra = [entry for entry in self.algebra if entry.group.name in chosen]
        return families_of(self.model, algebra, unit, self.kept(), self.structures)

    def ladders(self, unit: str) -> tuple[Ladder, ...]:
        """The dendrograms of the chosen groups. Raises SettingError for an unknown unit."""
        return ladders_of(self.families(unit), self.similarities, self.settings.linkage)

    @property
    def tied_unit(self) -> str:
        """What is tied as one: a user's own clusters are of layers."""
        return "layer" if self.settings.chooser == "clusters" else self.settings.unit

    def chance_thresholds(self) -> dict[str, float]:
        """For every chosen group the similarity that 95 % of untrained networks stay below, in it and in all others."""
        families = self.families(self.settings.unit)
        levels = chance_levels(self.algebra, families, self.metric)
        found = {name: [levels[one.name] for one in families if name in one.groups] for name in self.chosen_groups()}
        return {name: max(its, default=1.0) for name, its in found.items()}

    def plan(self, clusters: Mapping[str, Clusters]) -> FoldPlan:
        """The fold that ties these clusters; groups without any keep every layer apart. Raises UnknownName for a group
        that does not exist, SettingError for clusters that are no partition of its layers."""
        listed = f"; the groups are {', '.join(self.layers)}"
        check_known(clusters, self.layers, lambda name: f"group '{name}' does not exist", listed)
        groups = []
        for entry in self.algebra:
            group = entry.group
            chosen = clusters.get(group.name, partition([], len(group.layers)))
            tie = tie_rows(entry.coefficients, entry.gram, chosen, self.settings.tie)
            ordered = partition(chosen, len(group.layers))
            ranks = ranks_of(tie, group.shape, self.settings.residual)
            groups.append(GroupFold(group.name, group.layers, group.templates, group.shape, ordered, tie, ranks))
        tied = {group.name: group.clusters for group in groups}
        program = describe(self.model.network, self.model.plan, tied, self.structures)
        return FoldPlan(tuple(groups), program, self.structures.kept_apart)


def soft_of(model: nn.Module, settings: FoldSettings) -> Soft:
    """A soft network as folding needs it.

    Raises NothingToFold for a plain one, SettingError for an unknown metric, UnknownName for an attribute to ignore
    that no block has.
    """
    soft = soft_network(model)
    structures = structures_of(soft.network, soft.plan, settings.ignore)
    return Soft(soft, groups_of(soft), settings, check_metric(settings.metric, soft), structures)


def choose(soft: Soft, curve: Curve | None = None) -> Choice:
    """Decide. The curve is needed by what picks from the sweep.

    Raises SettingError, UnknownName, and NothingToFold where nothing fits.
    """
    settings = soft.settings
    soft.kept()
    if settings.chooser == "clusters":
        return Choice(_of_file(soft, Path(str(settings.clusters))), None, str(reason_of(settings)), None)
    if settings.chooser in ("threshold", "chance"):
        return _by_threshold(soft)
    assert curve is not None
    point, why = pick(curve, settings)
    return Choice(point.clusters, None, why or str(reason_of(settings, curve.task)), point)


def reason_of(settings: FoldSettings, task: Task = CLASSES) -> str | None:
    """Why a fold has its clusters, as far as its settings say it; None for the knee, whose reason is the curve."""
    file, drop = Path(str(settings.clusters)), settings.max_drop or 0
    score = "accuracy" if task.share else task.measure
    return {
        "threshold": "similar at the threshold",
        "chance": "more alike than 95 % of untrained networks are anywhere",
        "clusters": f"clusters of {file.name}",
        "max_drop": f"stores least within {drop:g} points of the soft network's validation {score}",
        "budget": f"best validation {score} within {settings.budget}",
    }.get(settings.chooser)


def check_budget_of(soft: Soft) -> None:
    """Raise NothingToFold where even complete tying is larger than the settings' budget: known before any data are
    read. With residuals, which may take more than tying saves, the smallest fold is another."""
    if soft.settings.budget is None or soft.settings.residual:
        return
    budget, in_bytes = parse_budget(soft.settings.budget)
    plan = soft.plan(complete_tying(soft.ladders(soft.settings.unit)))
    looped = loop_used_up(apply_fold(soft.model, plan), plan.program)
    least = file_bytes(looped.state_dict()) if in_bytes else sum(one.numel() for one in looped.parameters())
    check_budget(least, budget, in_bytes=in_bytes)


def _by_threshold(soft: Soft) -> Choice:
    """Clusters at the thresholds of the groups, kept layers taken out."""
    settings, names = soft.settings, list(soft.layers)
    single = dict(settings.thresholds)
    listed = f"; there are {', '.join(names)}"
    check_known(single, names, lambda name: f"`thresholds` names '{name}', which is no group", listed)
    for name in single:
        if name not in soft.chosen_groups():
            raise SettingError(
                f"`thresholds` gives '{name}' {single[name]:g} and `groups` leaves it out; add {name} to `groups`"
            )
    by_chance = settings.chooser == "chance"
    usual = soft.chance_thresholds() if by_chance else dict.fromkeys(soft.chosen_groups(), settings.overall_threshold)
    thresholds = usual | single
    clusters = cut_families(soft.families(settings.unit), soft.similarities, thresholds, settings.linkage)
    one_for_all = not single and len(set(thresholds.values())) == 1
    threshold = next(iter(thresholds.values())) if one_for_all else thresholds
    return Choice(clusters, threshold, str(reason_of(settings)), None)


def _of_file(soft: Soft, file: Path) -> dict[str, Clusters]:
    """A user's own clusters: {"stage2": [["layer", "layer"], ...], ...}, kept layers taken out."""
    with reading(f"`clusters={str(file)!r}`", "JSON"):
        content = parse_json(read_text(file, links=True))
    if not isinstance(content, dict):
        raise SettingError(f'`clusters={str(file)!r}` is not an object such as {{"stage2": [["layer", "layer"]]}}')
    layers, chosen, keep = soft.layers, soft.chosen_groups(), soft.kept()
    said = f"`clusters={str(file)!r}` names group"
    check_known(content, layers, lambda name: f"{said} '{name}', which does not exist")
    given = {name: value for name, value in content.items() if name in chosen}
    return {name: check_clusters(value, layers[name], group=name, keep=keep) for name, value in given.items()}
