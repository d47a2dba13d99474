"""Folding as plan and application: which layers are tied to which owner, and the network that follows from it."""

import copy
from dataclasses import dataclass

from torch import nn

from foldnet.analysis.clusters import Clusters
from foldnet.errors import NothingToFold
from foldnet.folding.owners import Tie, tie_bank
from foldnet.folding.structures import KeptApart
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
    if isinstance(model, SharedNetwork) and not all(isinstance(bank, Bank) for bank in model.sources.values()):
        raise NothingToFold("the network shares hard already, so there is nothing left to fold")
    if not isinstance(model, SharedNetwork):
        raise NothingToFold(
            "the network has no shared groups, so there is nothing to fold; train a soft one, such as swrn-28-2-4"
        )
    return model


def apply_fold(model: SharedNetwork, plan: FoldPlan) -> SharedNetwork:
    """The tied form: owners and gains, still unrolled, a network of its own."""
    sources: dict[str, nn.Module] = {}
    for group in plan.groups:
        bank = model.sources[group.name]
        assert isinstance(bank, Bank)
        sources[group.name] = tie_bank(bank, group.tie)
    return SharedNetwork(copy.deepcopy(model.network), model.plan, sources)
