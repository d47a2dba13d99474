"""Folding as plan and application: which layers are tied to which owner, and the network that follows from it."""

import copy
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from torch import nn

from foldnet.analysis.clusters import Clusters, check_threshold, cut, joined, partition
from foldnet.errors import NothingToFold, UnknownName, nearest
from foldnet.folding.families import families_of
from foldnet.folding.groups import GroupAlgebra, check_metric
from foldnet.folding.owners import tie_bank
from foldnet.folding.structures import KeptApart, Structures, describe, structures_of
from foldnet.folding.tie import Tie, stored_weights, tie_rows
from foldnet.program.data import Program
from foldnet.sharing.bank import Bank
from foldnet.sharing.share import SharedNetwork


@dataclass(frozen=True, slots=True)
class GroupFold:
    """One group, folded: clusters of indices into `layers`, the tie that they give, and what it stores."""

    name: str
    layers: tuple[str, ...]
    templates: int
    weight_numbers: int
    clusters: Clusters
    tie: Tie

    @property
    def owners(self) -> int:
        """Weights that exist while the network runs."""
        return len(self.clusters)

    @property
    def stored(self) -> int:
        """Weights that are kept in the file."""
        return stored_weights(self.owners, self.templates)


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """A fold before it is applied to any tensor: groups, the program that they make, and what kept blocks apart."""

    groups: tuple[GroupFold, ...]
    program: Program
    kept_apart: tuple[KeptApart, ...] = ()


def soft_network(model: nn.Module) -> SharedNetwork:
    """`model` as a soft network. Raises NothingToFold where it is none."""
    if not isinstance(model, SharedNetwork) or not all(isinstance(bank, Bank) for bank in model.sources.values()):
        raise NothingToFold(
            "the network has no shared groups, so there is nothing to fold; train a soft one, such as swrn-28-2-4"
        )
    return model


def choose_clusters(
    model: SharedNetwork,
    algebra: tuple[GroupAlgebra, ...],
    thresholds: Mapping[str, float],
    *,
    metric: str = "coefficients",
    unit: str = "layer",
    linkage: str = "complete",
    keep: Set[str] = frozenset(),
    structures: Structures | None = None,
) -> dict[str, Clusters]:
    """Clusters a group at its threshold; groups without a threshold, and layers in `keep`, stay as they are.

    `structures` are those of the model's blocks, compared here where they are needed and not given.

    Raises SettingError for an illegal threshold, metric, unit or linkage, UnknownName for a group that does not exist.
    """
    check_metric(metric, model)
    _check_groups(thresholds, algebra)
    for threshold in thresholds.values():
        check_threshold(threshold)
    chosen = [entry for entry in algebra if entry.group.name in thresholds]
    sizes = {entry.group.name: len(entry.group.layers) for entry in chosen}
    similarities = {entry.group.name: entry.similarity(metric) for entry in chosen}
    clusters = {name: partition([], size) for name, size in sizes.items()}
    for family in families_of(model, chosen, unit, keep, structures):
        alike = family.similarity(similarities, [thresholds[group] for group, _ in family.positions])
        for group, tied in family.tied(cut(alike, 0.0, linkage), sizes).items():
            clusters[group] = joined(clusters[group], tied)
    return clusters


def plan_fold(
    model: SharedNetwork,
    algebra: tuple[GroupAlgebra, ...],
    clusters: Mapping[str, Clusters],
    how: str = "gain",
    structures: Structures | None = None,
) -> FoldPlan:
    """Tie each group by its clusters and find the program; groups without clusters keep every layer apart.

    `structures` are those of the model's blocks, compared here where they are not given. Raises SettingError for an
    unknown way of tying, UnknownName for a group that does not exist.
    """
    _check_groups(clusters, algebra)
    structures = structures or structures_of(model.network, model.plan)
    groups = tuple(_fold_group(entry, clusters.get(entry.group.name), how) for entry in algebra)
    owners = {
        layer: (group.name, int(owner))
        for group in groups
        for layer, owner in zip(group.layers, group.tie.assignment, strict=True)
    }
    program = describe(model.network, model.plan, owners, structures)
    return FoldPlan(groups, program, structures.kept_apart)


def apply_fold(model: SharedNetwork, plan: FoldPlan) -> SharedNetwork:
    """The tied form: owners and gains, still unrolled, a network of its own."""
    sources: dict[str, nn.Module] = {}
    for group in plan.groups:
        bank = model.sources[group.name]
        assert isinstance(bank, Bank)
        sources[group.name] = tie_bank(bank, group.tie)
    return SharedNetwork(copy.deepcopy(model.network), model.plan, sources)


def _check_groups(named: Iterable[str], algebra: tuple[GroupAlgebra, ...]) -> None:
    """Raise UnknownName for a group that does not exist."""
    known = [entry.group.name for entry in algebra]
    for name in named:
        if name not in known:
            raise UnknownName(
                f"group '{name}' does not exist{nearest(str(name), known)}; the groups are {', '.join(known)}"
            )


def _fold_group(algebra: GroupAlgebra, clusters: Clusters | None, how: str) -> GroupFold:
    """Tie one group."""
    layers = algebra.group.layers
    chosen = clusters if clusters is not None else tuple((row,) for row in range(len(layers)))
    tie = tie_rows(algebra.coefficients, algebra.gram, chosen, how)
    return GroupFold(algebra.group.name, layers, algebra.group.templates, algebra.weight_numbers, chosen, tie)
