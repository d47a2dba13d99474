"""Folding as plan and application: which layers are tied to which owner, and the network that follows from it."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from foldnet.analysis.choices import UNITS
from foldnet.analysis.clusters import BlockLayers, Clusters, cluster_blocks, cluster_layers
from foldnet.errors import NothingToFold, SettingError, UnknownName, nearest
from foldnet.folding.groups import GroupAlgebra, check_metric
from foldnet.folding.owners import tie_bank
from foldnet.folding.structures import KeptApart, Structures, describe, structures_of
from foldnet.folding.tie import Tie, stored_weights, tie_rows
from foldnet.program.data import Program
from foldnet.sharing.bank import Bank
from foldnet.sharing.plan import ROOT
from foldnet.sharing.sequences import block_names, sequences_of
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
    structures: Structures | None = None,
) -> dict[str, Clusters]:
    """Clusters a group at its threshold; groups without a threshold stay as they are.

    `structures` are those of the model's blocks, compared here where they are needed and not given.

    Raises SettingError for an illegal threshold, metric, unit or linkage, UnknownName for a group that does not exist.
    """
    check_metric(metric, model)
    _check_groups(thresholds, algebra)
    if unit not in UNITS:
        raise SettingError(f"`unit={unit!r}` is not legal; choose {' or '.join(UNITS)}{nearest(unit, UNITS)}")
    chosen = {entry.group.name: entry.similarity(metric) for entry in algebra if entry.group.name in thresholds}
    if unit == "layer":
        return {name: cluster_layers(matrix, thresholds[name], linkage) for name, matrix in chosen.items()}
    blocks = blocks_of(model, set(chosen), structures)
    return cluster_blocks(chosen, blocks, dict(thresholds), linkage).groups


def blocks_of(model: SharedNetwork, groups: set[str], structures: Structures | None = None) -> list[BlockLayers]:
    """The blocks whose shared layers all belong to `groups`, as clustering sees them."""
    structures = structures or structures_of(model.network, model.plan)
    rows = {layer: (group.name, row) for group in model.plan.groups for row, layer in enumerate(group.layers)}
    found = []
    for sequence in sequences_of(model.network, list(rows)):
        for name in block_names(model.network, sequence):
            inside = [row for layer, row in rows.items() if layer == name or layer.startswith(f"{name}.")]
            if inside and all(group in groups for group, _ in inside):
                found.append(BlockLayers(structures.numbers[name], tuple(inside), sequence or ROOT))
    return found


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
