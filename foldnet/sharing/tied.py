"""Hard sharing: layers that use one weight, each by a gain of its own. What folding makes of a soft network, and what
`foldnet train --like` trains from the first step on."""

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


class Owners(nn.Module):
    """The weights that the clusters of one group keep.

    Holds M owners, or K templates and coefficients (M, K) where K < M, so min(M, K) weights (O, I, *kernel), each a
    tensor of its own.
    """

    def __init__(self, owners: int, templates: int | None, shape: tuple[int, ...]) -> None:
        """Empty weights of `shape`; `templates` is None where the owners themselves are kept."""
        super().__init__()
        self.form = owners, templates, shape
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


class TiedLayers(nn.Module):
    """Layers that use owners by signed gains: W_i = g_i C_a(i)."""

    def __init__(self, owners: Owners, assignment: tuple[int, ...]) -> None:
        super().__init__()
        self.stored = owners
        self.assignment = assignment
        self.gains = nn.Parameter(torch.ones(len(assignment)))

    def layer_weights(self) -> tuple[Tensor, ...]:
        """A weight (O, I, *kernel) for each of the L layers."""
        owners = self.stored.owner_weights()
        return tuple(gain * owners[owner] for gain, owner in zip(self.gains.unbind(0), self.assignment, strict=True))


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
