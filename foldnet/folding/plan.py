"""Folding as plan and application: which layers are tied to which owner, and the network that follows from it."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn

from foldnet.analysis.clusters import Clusters
from foldnet.errors import NothingToFold
from foldnet.folding.owners import Tie, tie_bank
from foldnet.folding.structures import KeptApart
from foldnet.program.data import Program
from foldnet.sharing.low_rank import a_rank_takes
from foldnet.sharing.share import Bank, SharedNetwork


@dataclass(frozen=True, slots=True)
class GroupFold:
    """One group, folded: clusters of indices into `layers`, the tie that they give, and what it stores. `shape` is that
    of a weight, `ranks` has the rank of the residuals of each owner's layers, nothing where there are none."""

    name: str
    layers: tuple[str, ...]
    templates: int
    shape: tuple[int, ...]
    clusters: Clusters
    tie: Tie
    ranks: tuple[int, ...] = ()

    @property
    def weight_numbers(self) -> int:
        """N, the numbers in one weight."""
        return math.prod(self.shape)

    @property
    def owners(self) -> int:
        """Weights that exist while the network runs."""
        return len(self.clusters)

    @property
    def stored(self) -> int:
        """Weights that are kept in the file."""
        return min(self.owners, self.templates)  # the owners themselves, or templates that mix them

    @property
    def residual_numbers(self) -> int:
        """Numbers that the residuals take."""
        ranks = sum(self.ranks[owner] for owner in self.tie.assignment) if self.ranks else 0
        return ranks * a_rank_takes(self.shape)

    @property
    def stored_numbers(self) -> int:
        """Numbers of the shared weights and residuals that are kept in the file."""
        return self.stored * self.weight_numbers + self.residual_numbers


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """A fold before it is applied to any tensor: groups, the program that they make, and what kept blocks apart."""

    groups: tuple[GroupFold, ...]
    program: Program
    kept_apart: tuple[KeptApart, ...] = ()


def soft_network(model: nn.Module) -> SharedNetwork:
    """`model` as a soft network. Raises NothingToFold where it is none."""
    if isinstance(model, SharedNetwork) and not all(isinstance(bank, Bank) for bank in model.sources.values()):
        raise NothingToFold("the network shares hard already, so there is nothing left to fold")
    if not isinstance(model, SharedNetwork):
        raise NothingToFold(
            "the network has no shared groups, so there is nothing to fold; train a soft one, such as swrn-28-2-4"
        )
    return model


def apply_fold(model: SharedNetwork, plan: FoldPlan) -> SharedNetwork:
    """The tied form: owners, gains and residuals, still unrolled, a network of its own."""
    sources: dict[str, nn.Module] = {}
    for group in plan.groups:
        bank = model.sources[group.name]
        assert isinstance(bank, Bank)
        sources[group.name] = tie_bank(bank, group.tie, group.ranks)
    return SharedNetwork(copy.deepcopy(model.network), model.plan, sources)


@torch.no_grad()
def errors_of(model: SharedNetwork, plan: FoldPlan, tied: SharedNetwork) -> dict[str, float]:
    """By layer ||W - V|| / ||W||, where V is the weight that it uses in the tied form of a plan, residual included.
    `tied` is that form, not trained yet."""
    found: dict[str, float] = {}
    for group in plan.groups:
        found |= zip(group.layers, map(float, group.tie.errors), strict=True)
        if group.ranks:
            pairs = (source.sources[group.name].layer_weights() for source in (model, tied))  # type: ignore[operator]
            for layer, weight, its, owner in zip(group.layers, *pairs, group.tie.assignment, strict=True):
                if group.ranks[owner]:
                    wanted = weight.double()
                    found[layer] = float((wanted - its).norm() / wanted.norm()) if wanted.any() else float(its.any())
    return found
