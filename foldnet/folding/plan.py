"""Folding as plan and application: which layers are tied to which owner, and the network that follows from it."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

from torch import nn

from foldnet.analysis.choices import LINKAGES
from foldnet.analysis.clusters import Clusters, partition
from foldnet.bounds import as_code
from foldnet.errors import NothingToFold, SettingError, UnknownName, nearest
from foldnet.folding.groups import GroupAlgebra, check_metric, cut_families, families_of, similarities_of
from foldnet.folding.owners import Tie, tie_bank, tie_rows
from foldnet.folding.structures import KeptApart, Structures, describe, structures_of
from foldnet.options import check_choice
from foldnet.program.data import Program
from foldnet.sharing.share import Bank, SharedNetwork


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
        return min(self.owners, self.templates)  # the owners themselves, or templates that mix them


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
    structures: Structures | None = None,
) -> dict[str, Clusters]:
    """Clusters a group at its threshold; groups without a threshold stay as they are.

    `structures` are those of the model's blocks, compared here where they are needed and not given.

    Raises SettingError for an illegal threshold, metric, unit or linkage, UnknownName for a group that does not exist.
    """
    check_metric(metric, model)
    check_choice("linkage", linkage, LINKAGES)
    _check_groups(thresholds, algebra)
    for threshold in thresholds.values():
        if not isinstance(threshold, Real) or not 0.0 <= threshold <= 1.0:
            raise SettingError(f"{as_code('threshold', threshold)} is not a similarity; give a number from 0 to 1")
    chosen = [entry for entry in algebra if entry.group.name in thresholds]
    families = families_of(model, chosen, unit, structures=structures)
    return cut_families(families, similarities_of(chosen, metric), thresholds, linkage)


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
    groups = []
    for entry in algebra:
        group = entry.group
        chosen = clusters.get(group.name, partition([], len(group.layers)))
        tie = tie_rows(entry.coefficients, entry.gram, chosen, how)
        ordered = partition(chosen, len(group.layers))
        groups.append(GroupFold(group.name, group.layers, group.templates, entry.weight_numbers, ordered, tie))
    program = describe(model.network, model.plan, {fold.name: fold.clusters for fold in groups}, structures)
    return FoldPlan(tuple(groups), program, structures.kept_apart)


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
