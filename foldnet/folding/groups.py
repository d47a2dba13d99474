"""What folding needs to know of a network's groups: small matrices in float64, never the weights themselves."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foldnet.analysis.chance import Chance, chance, plain_chance
from foldnet.analysis.choices import METRICS, UNITS
from foldnet.analysis.clusters import Clusters, cut, joined, partition
from foldnet.analysis.similarity import Matrix, coefficient_similarity, weight_similarity
from foldnet.errors import NothingToFold, SettingError
from foldnet.folding.structures import Structures
from foldnet.options import check_choice
from foldnet.sharing.plan import ROOT, Group, plan_sharing
from foldnet.sharing.sequences import weight_name
from foldnet.sharing.share import Bank, SharedNetwork, gram


@dataclass(frozen=True, slots=True)
class GroupAlgebra:
    """One group: coefficients (L, K) and the Gram matrix of the templates (K, K), both float64.

    A plain network's layers count as their own templates: coefficients are then the identity.
    """

    group: Group
    coefficients: NDArray[np.float64]
    gram: NDArray[np.float64]
    plain: bool

    @property
    def weight_numbers(self) -> int:
        """N, the numbers in one weight of the group."""
        return int(np.prod(self.group.shape))

    def similarity(self, metric: str) -> NDArray[np.float64]:
        """The layer similarity matrix, (L, L)."""
        if metric == "weights":
            return weight_similarity(self.coefficients, self.gram)
        return coefficient_similarity(self.coefficients)

    @property
    def may_differ(self) -> bool:
        """Whether there are pairs of layers and they are not all alike by construction, as those of one template
        are."""
        return len(self.group.layers) > 1 and (self.plain or self.group.templates > 1)

    def chance(self, metric: str, groups: int = 1) -> Chance:
        """What untrained layers would show, as one of so many groups that are judged together."""
        layers = len(self.group.layers)
        if self.plain:
            return plain_chance(layers, self.weight_numbers, groups=groups)
        gram = self.gram if metric == "weights" else None
        return chance(layers, self.group.templates, gram=gram, groups=groups)


def judged_together(algebra: Iterable[GroupAlgebra]) -> int:
    """How many groups have something that chance could do to them; at least 1."""
    return max(1, sum(entry.may_differ for entry in algebra))


def groups_of(model: nn.Module) -> tuple[GroupAlgebra, ...]:
    """The groups of a soft network, or the layers of a plain one that would share (paper, figure 2).

    Raises NothingToFold where no two layers have one weight shape in one stage, SettingError on torch's device "meta".
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        raise SettingError('the network is on the device "meta", where tensors have no numbers; load some first')
    if isinstance(model, SharedNetwork):
        return tuple(_of_bank(group, model.sources[group.name]) for group in model.plan.groups)
    plan = plan_sharing(model)
    if not plan.groups:
        raise NothingToFold("no two layers have one weight shape in one stage; there is nothing to compare")
    return tuple(_of_layers(group, model) for group in plan.groups)


def check_metric(metric: str | None, model: nn.Module) -> str:
    """The metric to use: `coefficients` for soft networks where none is given, `weights` for plain ones.

    Raises SettingError for an unknown metric, or for `coefficients` of a network that has none.
    """
    soft = isinstance(model, SharedNetwork)
    chosen = metric or ("coefficients" if soft else "weights")
    check_choice("metric", chosen, METRICS)
    if chosen == "coefficients" and not soft:
        raise SettingError(f"`metric={chosen!r}` needs a soft network, and this one is plain; use `metric='weights'`")
    return chosen


def _of_bank(group: Group, source: nn.Module) -> GroupAlgebra:
    """A soft group."""
    if not isinstance(source, Bank):
        raise NothingToFold(f"group '{group.name}' shares hard already, so there is nothing left to compare or to fold")
    rows = source.coefficients.detach().cpu().double().numpy()
    return GroupAlgebra(group, rows, gram(source.templates).cpu().numpy(), plain=False)


def _of_layers(group: Group, model: nn.Module) -> GroupAlgebra:
    """Layers of a plain network."""
    weights = torch.stack([model.get_parameter(weight_name(layer)).detach() for layer in group.layers])
    return GroupAlgebra(group, np.eye(len(group.layers)), gram(weights).cpu().numpy(), plain=True)


@dataclass(frozen=True, slots=True)
class Family:
    """Two or more layers, or blocks, that one dendrogram merges; `name` is that of the ladder down it.

    `positions` has, for every shared layer of a block (one for a layer), its group and the row of each member in that
    group.
    """

    name: str
    positions: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def groups(self) -> list[str]:
        """The groups whose layers it ties, each once."""
        return list(dict.fromkeys(group for group, _ in self.positions))

    def similarity(self, similarities: Mapping[str, Matrix], levels: Sequence[float] | None = None) -> Matrix:
        """How alike its members are at their worst position, above `levels` (one a position) where given.

        Of each group one matrix (L, L) or many (D, L, L) -> (n, n) or (D, n, n).
        """
        places = [
            similarities[group][..., np.array(rows)[:, None], np.array(rows)] - level
            for (group, rows), level in zip(self.positions, levels or [0.0] * len(self.positions), strict=True)
        ]
        worst: Matrix = np.minimum.reduce(places)
        return worst

    def tied(self, clusters: Clusters, similarities: Mapping[str, Matrix]) -> dict[str, Clusters]:
        """What clusters of its members tie, position by position: a partition of the layers of each of its groups."""
        found: dict[str, list[list[int]]] = {group: [] for group in self.groups}
        for group, rows in self.positions:
            found[group] += [[rows[member] for member in cluster] for cluster in clusters]
        return {group: partition(rows, len(similarities[group])) for group, rows in found.items()}


def families_of(
    model: SharedNetwork, algebra: Sequence[GroupAlgebra], unit: str, keep: Set[str], structures: Structures
) -> tuple[Family, ...]:
    """A family for the layers of each group in `algebra`, or for all blocks of one structure in a stage whose shared
    layers are all of these groups; layers in `keep`, and blocks with one, are left out.

    `structures` are those of the model's blocks. Raises SettingError for an unknown unit.
    """
    check_choice("unit", unit, UNITS)
    layers = {entry.group.name: enumerate(entry.group.layers) for entry in algebra}
    free = {name: tuple(row for row, layer in its if layer not in keep) for name, its in layers.items()}
    if unit == "layer":
        return tuple(Family(name, ((name, rows),)) for name, rows in free.items() if len(rows) > 1)
    places = {layer: (group.name, row) for group in model.plan.groups for row, layer in enumerate(group.layers)}
    alike: dict[tuple[str, int, tuple[str, ...]], list[tuple[int, ...]]] = {}
    for sequence, blocks in structures.sequences.items():
        for name in blocks:
            inside = [place for layer, place in places.items() if layer == name or layer.startswith(f"{name}.")]
            if inside and all(row in free.get(group, ()) for group, row in inside):
                groups, rows = zip(*inside, strict=True)
                alike.setdefault((sequence or ROOT, structures.numbers[name], groups), []).append(rows)
    families: list[Family] = []
    for (stage, _, groups), members in alike.items():
        taken = [family.name for family in families]
        name = stage if stage not in taken else f"{stage}, family {len(taken) + 1}"
        families.append(Family(name, tuple(zip(groups, zip(*members, strict=True), strict=True))))
    return tuple(family for family in families if len(family.positions[0][1]) > 1)


def cut_families(
    families: Iterable[Family], similarities: Mapping[str, Matrix], thresholds: Mapping[str, float], linkage: str
) -> dict[str, Clusters]:
    """Clusters of every group: members of a family are tied where they are at or above the thresholds of all their
    groups; whatever is in no family stays alone."""
    clusters = {name: partition([], len(matrix)) for name, matrix in similarities.items()}
    for family in families:
        alike = family.similarity(similarities, [thresholds[group] for group, _ in family.positions])
        for group, tied in family.tied(cut(alike, 0.0, linkage), similarities).items():
            clusters[group] = joined(clusters[group], tied)
    return clusters
