"""Folding as plan and application: which layers are tied to which owner, and the network that follows from it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from foldnet.analysis.clusters import Clusters, partition
from foldnet.errors import NothingToFold, check_known
from foldnet.folding.groups import GroupAlgebra
from foldnet.folding.owners import Tie, tie_bank, tie_rows
from foldnet.folding.structures import KeptApart, Structures, describe, structures_of
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
    known = [entry.group.name for entry in algebra]
    listed = f"; the groups are {', '.join(known)}"
    check_known(clusters, known, lambda name: f"group '{name}' does not exist", listed)
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
