"""Tiny networks in all of their forms, which loop by design; nothing is trained."""

import copy

import torch
from torch import nn

from foldnet.choosing.choose import soft_of
from foldnet.folding.groups import families_of
from foldnet.folding.settings import FoldSettings
from foldnet.folding.structures import structures_of
from foldnet.verbs.fold import fold
from foldnet.zoo.blueprint import build

FORMS = ("soft", "tied", "looped", "mixed")  # mixed: looped, of a group that keeps templates, fewer than its owners
X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


def fold_forms(soft: nn.Module, threshold: float = 0.95, **settings):
    """The looped and the tied form of a soft network, and the plan of both."""
    folded = fold(soft, threshold=threshold, **settings)
    return folded.looped, folded.tied, folded.plan


def make_forms() -> dict[str, nn.Module]:
    """SWRN-22-1 of which every stage has one block that loops, its norms differing by step."""
    found = {}
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        soft = build("swrn-22-1-2").eval()
        with torch.no_grad():
            for source in soft.sources.values():
                source.coefficients.copy_(torch.tensor([[1.0, 0.3], [0.2, 1.0], [-2.0, -0.6], [0.1, 0.5]]))
            for module in soft.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.weight.uniform_(0.5, 1.5)
                    module.running_mean.uniform_(-0.5, 0.5)
    found["soft"] = soft
    found["looped"], found["tied"], _ = fold_forms(soft, 1.0)
    apart = copy.deepcopy(soft)
    with torch.no_grad():
        for source in apart.sources.values():
            source.coefficients.copy_(torch.tensor([[1.0, 0.3], [0.2, 1.0], [-2.0, -0.6], [0.5, -1.0]]))
    found["mixed"] = fold_forms(apart, 1.0)[0]
    return {name: model.eval() for name, model in found.items()}


def planned(soft: nn.Module, clusters, how: str = "gain"):
    """A fold of a soft network by these clusters."""
    return soft_of(soft, FoldSettings(tie=how)).plan(clusters)


def families_in(soft: nn.Module, algebra, unit: str, keep: frozenset[str] = frozenset()):
    """What can be tied of the groups in `algebra`, by layer or by block."""
    return families_of(soft, algebra, unit, keep, structures_of(soft.network, soft.plan))


def similarities_of(algebra):
    """The layer similarity matrix of each group, by coefficients."""
    return {entry.group.name: entry.similarity("coefficients") for entry in algebra}
