"""What folding needs to know of a network's groups: small matrices in float64, never the weights themselves."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foldnet.analysis.chance import Chance, chance, plain_chance
from foldnet.analysis.choices import METRICS
from foldnet.analysis.similarity import coefficient_similarity, weight_similarity
from foldnet.errors import NothingToFold, SettingError
from foldnet.options import check_choice
from foldnet.sharing.bank import Bank, gram
from foldnet.sharing.plan import Group, plan_sharing
from foldnet.sharing.share import SharedNetwork


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
        raise NothingToFold(
            "the network has no two layers of one weight shape in one stage; there is nothing to compare"
        )
    return tuple(_of_layers(group, model) for group in plan.groups)


def check_metric(metric: str | None, model: nn.Module) -> str:
    """The metric to use: `coefficients` for soft networks where none is given, `weights` for plain ones.

    Raises SettingError for an unknown metric, or for `coefficients` of a network that has none.
    """
    soft = isinstance(model, SharedNetwork)
    chosen = metric or ("coefficients" if soft else "weights")
    check_choice("metric", chosen, METRICS)
    if chosen == "coefficients" and not soft:
        raise SettingError(
            "`metric='coefficients'` needs a soft network, and this one is plain; use `metric='weights'`"
        )
    return chosen


def _of_bank(group: Group, source: nn.Module) -> GroupAlgebra:
    """A soft group."""
    if not isinstance(source, Bank):
        raise NothingToFold(f"group '{group.name}' is tied already; fold the soft network that it came from")
    rows = source.coefficients.detach().cpu().double().numpy()
    return GroupAlgebra(group, rows, source.gram().cpu().numpy(), plain=False)


def _of_layers(group: Group, model: nn.Module) -> GroupAlgebra:
    """Layers of a plain network."""
    weights = torch.stack([model.get_parameter(f"{layer}.weight").detach() for layer in group.layers])
    return GroupAlgebra(group, np.eye(len(group.layers)), gram(weights).cpu().numpy(), plain=True)
