"""Hard sharing: layers that use one weight, each by a gain of its own, and perhaps with a residual of low rank. What
folding makes of a soft network, and what `foldnet train --like` trains from the first step on."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from foldnet.errors import ShapeMismatch
from foldnet.sharing.plan import SharingPlan
from foldnet.sharing.sequences import weight_name
from foldnet.sharing.share import SharedNetwork, at_scale, mix

Ties = Mapping[str, Sequence[int]]  # by group, the number of the owner that each of its layers uses


def use(owner: Tensor, gain: Tensor, left: Tensor | None = None, right: Tensor | None = None) -> Tensor:
    """The weight of a layer that uses an owner: W = g C, and with a residual of its own W = g C + B A.

    Shapes: owner C (O, I, *kernel), gain g (), left B (O, r), right A (r, I * kernel) -> (O, I, *kernel).
    Source: Bae et al., "Relaxed Recursive Transformers", https://arxiv.org/abs/2410.20672.
    """
    scaled = gain * owner
    return scaled if left is None or right is None else scaled + (left @ right).view(owner.shape)


def residual_shapes(rank: int, shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of B and A of a residual of a weight of this shape: (O, r) and (r, I * kernel)."""
    return (shape[0], rank), (rank, math.prod(shape[1:]))


class Owners(nn.Module):
    """The weights that the clusters of one group keep.

    Holds M owners, or K templates and coefficients (M, K) where K < M, so min(M, K) weights (O, I, *kernel), each a
    tensor of its own.
    """

    def __init__(self, owners: int, templates: int | None, shape: tuple[int, ...], ranks: tuple[int, ...] = ()) -> None:
        """Empty weights of `shape`; `templates` is None where the owners themselves are kept. `ranks` has for each
        owner the rank of the residuals that its layers keep, 0 for none; it is empty where no layer keeps one.

        Raises ShapeMismatch for other than one rank an owner, and for one that no matrix (O, I * kernel) has.
        """
        super().__init__()
        if len(ranks) not in (0, owners):
            raise ShapeMismatch(
                f"the ranks of residuals are {len(ranks)} and the owners {owners}; give one rank an owner"
            )
        if max(ranks, default=0) > (most := min(shape[0], math.prod(shape[1:]))):
            raise ShapeMismatch(f"a residual of a weight {shape} cannot have rank {max(ranks)}; give at most {most}")
        self.form = owners, templates, shape, ranks
        stored = nn.ParameterList(torch.empty(shape) for _ in range(templates or owners))
        self.owners = stored if templates is None else None
        self.templates = None if templates is None else stored
        self.coefficients = None if templates is None else nn.Parameter(torch.empty(owners, templates))

    def owner_weights(self) -> tuple[Tensor, ...]:
        """The M owners, (O, I, *kernel) each. They exist once; where templates are kept they are mixed here."""
        if self.templates is None or self.coefficients is None:
            return tuple(self.owners or ())
        stacked = torch.stack(list(self.templates)).movedim(2, -1)  # input channels last, as in a bank
        return mix(self.coefficients, stacked).unbind(0)

    def rank(self, owner: int) -> int:
        """The rank of the residual that each layer of an owner keeps; 0 for none."""
        ranks = self.form[3]
        return ranks[owner] if ranks else 0


class TiedLayers(nn.Module):
    """Layers that use owners by signed gains, and add a residual of low rank where their owner has a rank for that:
    W_i = g_i C_a(i) + B_i A_i."""

    def __init__(self, owners: Owners, assignment: tuple[int, ...]) -> None:
        """Gains of 1 and residuals of 0."""
        super().__init__()
        self.stored = owners
        self.assignment = assignment
        self.gains = nn.Parameter(torch.ones(len(assignment)))
        self.rows = tuple(row for row, owner in enumerate(assignment) if owners.rank(owner))  # that keep a residual
        shapes = [residual_shapes(owners.rank(assignment[row]), owners.form[2]) for row in self.rows]
        self.left = nn.ParameterList(torch.zeros(left) for left, _ in shapes)
        self.right = nn.ParameterList(torch.zeros(right) for _, right in shapes)

    def usages(self) -> tuple[tuple[Tensor, ...], ...]:
        """How each of the L layers uses its owner, as `use` takes it: (gain,), or (gain, B, A)."""
        residuals = dict(zip(self.rows, zip(self.left, self.right, strict=True), strict=True))
        return tuple((gain, *residuals.get(row, ())) for row, gain in enumerate(self.gains.unbind(0)))

    def layer_weights(self) -> tuple[Tensor, ...]:
        """A weight (O, I, *kernel) for each of the L layers."""
        owners = self.stored.owner_weights()
        return tuple(use(owners[owner], *own) for own, owner in zip(self.usages(), self.assignment, strict=True))


def tie_from_start(network: nn.Module, plan: SharingPlan, ties: Ties) -> SharedNetwork:
    """A network whose layers share hard, with new weights: gains of 1, owners Kaiming normal, or templates so and
    coefficients orthogonal where there are fewer templates than owners, at the scale that `share` gives them. `network`
    is left as it was.

    Raises ShapeMismatch where the ties are not those of the plan's groups and layers.
    """
    sources: dict[str, nn.Module] = {}
    if ties.keys() != {group.name for group in plan.groups}:
        raise ShapeMismatch(f"ties of {', '.join(ties)} do not fit the groups of the network; take a fold of it")
    for group in plan.groups:
        assignment = tuple(ties[group.name])
        owners = max(assignment, default=-1) + 1
        if len(assignment) != len(group.layers) or set(assignment) != set(range(owners)):
            raise ShapeMismatch(f"group '{group.name}' has {len(group.layers)} layers and its ties fit others")
        stored = Owners(owners, group.templates if group.templates < owners else None, group.shape)
        _start(stored)
        like = network.get_parameter(weight_name(group.layers[0]))
        sources[group.name] = TiedLayers(stored, assignment).to(like)
    return at_scale(SharedNetwork(copy.deepcopy(network), plan, sources), network)


def _start(stored: Owners) -> None:
    """Fill what is stored as a bank's templates and coefficients are."""
    shape = stored.form[2]
    for weight in stored.templates or stored.owners or ():
        if not weight.is_meta:
            nn.init.normal_(weight, std=math.sqrt(2.0 / math.prod(shape[1:])))
    if stored.coefficients is not None and not stored.coefficients.is_meta:
        nn.init.orthogonal_(stored.coefficients)
