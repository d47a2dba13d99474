"""Owners: the one weight that the layers of a cluster use, each by a signed gain, W_i ~ g_i C, and with a residual of
low rank where one is asked for: how it is found, what is stored of it, and how layers use it.

The paper (Savarese & Maire 2019, section 4.3, https://arxiv.org/abs/1902.09701) gives no rule for the merged
weight. |cos| ignores sign and length, but conv2 of a pre-activation block feeds the residual sum with no norm
behind it: both are kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from foldnet.analysis.choices import TIES
from foldnet.analysis.similarity import Matrix, as_matrix, coordinate_map, unit_rows
from foldnet.errors import SettingError
from foldnet.options import check_choice
from foldnet.sharing.lend import view
from foldnet.sharing.low_rank import closest
from foldnet.sharing.plan import SHAREABLE
from foldnet.sharing.share import Bank
from foldnet.sharing.tied import Owners, TiedLayers, use

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
EXACT = 1e-6  # of its length: a layer that tying changes by less is tied exactly
EVEN = 1 - 1e-9  # gains this close in size count as equal, so that rounding does not pick the sign of the owner


@dataclass(frozen=True, slots=True)
class Tie:
    """The tied layers of one group: layer i uses gains[i] times the weight of owner assignment[i].

    Shapes: owners (M, K), rows of coefficients, so that an owner's weight is its row times the templates;
    gains (L,); assignment (L,) of owner numbers; errors (L,), ||W_i - g_i C|| / ||W_i||. A layer whose weight
    is zero has error 0 where it is still zero when tied, and 1 otherwise. Owners are numbered by their first
    member.
    """

    owners: Matrix
    gains: Matrix
    assignment: NDArray[np.int64]
    errors: Matrix


def tie_rows(coefficients: ArrayLike, gram: ArrayLike, clusters: Sequence[Sequence[int]], how: str = "gain") -> Tie:
    """Tie the layers of each cluster: (L, K), (K, K), a partition of 0..L-1 -> Tie.

    `gain` minimises sum ||W_i - g_i C||^2 over C and g, the gains of a cluster having root mean square 1 and
    the largest being positive; `signed` averages the sign-aligned members, gains ±1; `mean` averages them as
    they are, gains 1. A layer that is alone keeps its row and gain 1 exactly. Raises SettingError for an
    unknown way or clusters that are no partition, ShapeMismatch where the Gram matrix does not fit.
    """
    check_choice("tie", how, TIES)
    rows = as_matrix(coefficients, "coefficients")
    to_weights = coordinate_map(gram, rows.shape[1])
    # Gains and relative errors do not see the templates' common scale; products of tiny numbers would vanish.
    to_weights = to_weights / (np.abs(to_weights).max(initial=0.0) or 1.0)
    ordered = sorted(sorted(cluster) for cluster in clusters)
    if sorted(index for cluster in ordered for index in cluster) != list(range(len(rows))) or [] in ordered:
        raise SettingError(f"the clusters are not a partition of {len(rows)} layers; put every layer into exactly one")

    owners = np.empty((len(ordered), rows.shape[1]))
    gains = np.ones(len(rows))
    assignment = np.empty(len(rows), dtype=np.int64)
    for owner, cluster in enumerate(ordered):
        owners[owner], gains[cluster] = _tie_cluster(rows[cluster], to_weights, how)
        assignment[cluster] = owner
    return Tie(owners, gains, assignment, _errors(rows, gains[:, None] * owners[assignment], to_weights))


def _tie_cluster(rows: Matrix, to_weights: Matrix, how: str) -> tuple[Matrix, Matrix]:
    """Owner (K,) and gains (m,) of one cluster's rows (m, K)."""
    members = len(rows)
    if members == 1:
        return rows[0], np.ones(1)
    if how == "mean":
        return rows.mean(axis=0), np.ones(members)
    gains = _leading_gains(rows @ to_weights)
    if how == "signed":
        gains = np.where(gains < 0, -1.0, 1.0)
    # The least-squares owner for given gains, sum g_i a_i / sum g_i^2, whose root mean square is 1.
    return gains @ rows / members, gains


def _leading_gains(coordinates: Matrix) -> Matrix:
    """sqrt(m) u_1 of the weights' coordinates (m, K) -> (m,), the largest positive; ones where all is 0."""
    members = len(coordinates)
    scale = np.abs(coordinates).max(initial=0.0)
    if scale == 0.0:
        return np.ones(members)
    scaled = coordinates / scale
    # u_1 by projection onto v_1: in u_1 itself the gain of a row 1e-12 times as long is mostly rounding.
    direction = np.linalg.svd(scaled, full_matrices=False)[2][0]
    leading = unit_rows(scaled @ direction) * np.sqrt(members)
    sizes = np.abs(leading)
    first_of_largest = int(np.argmax(sizes >= sizes.max() * EVEN))
    gains: Matrix = leading if leading[first_of_largest] > 0 else -leading
    return gains


def _errors(rows: Matrix, tied: Matrix, to_weights: Matrix) -> Matrix:
    """||W_i - g_i C|| / ||W_i|| for each layer: (L, K), (L, K), (K, K) -> (L,)."""
    largest = np.maximum(np.abs(rows), np.abs(tied)).max(axis=1, keepdims=True, initial=0.0)
    scale = np.where(largest > 0, largest, 1.0)
    missing = np.linalg.norm((rows - tied) / scale @ to_weights, axis=1)
    lengths = np.linalg.norm(rows / scale @ to_weights, axis=1)
    relative: Matrix = np.divide(missing, lengths, out=(missing > 0).astype(np.float64), where=lengths > 0)
    return relative


def ranks_of(tie: Tie, shape: Sequence[int], rank: int) -> tuple[int, ...]:
    """For each owner the rank of the residuals that its layers keep, `rank` or what a matrix (O, I * kernel) can have
    where that is less; 0 where the tie of all of them is exact, as that of a layer alone is. Empty where nobody keeps
    one.

    A cluster has one rank, so that the steps of a loop can be stacked. Its exact members keep zeros, which training
    leaves as they are: both factors have gradients of zero there.
    """
    most = min(rank, shape[0], math.prod(shape[1:]))
    inexact = {int(owner) for owner, error in zip(tie.assignment, tie.errors, strict=True) if error >= EXACT}
    return tuple(most if owner in inexact else 0 for owner in range(len(tie.owners))) if most and inexact else ()


def tie_bank(bank: Bank, tie: Tie, ranks: tuple[int, ...] = ()) -> TiedLayers:
    """The tied form of a bank's layers; what it stores is the cheaper of owners and templates, and for owners that have
    a rank what comes closest to what tying leaves over of each of their layers."""
    templates, count = bank.templates.detach().movedim(-1, 2), len(tie.owners)
    rows = torch.as_tensor(tie.owners, dtype=torch.float64, device=templates.device)
    by_templates = len(templates) < count
    stored = Owners(count, len(templates) if by_templates else None, tuple(templates.shape[1:]), ranks).to(templates)
    # One owner at a time in float64: exact ties stay exact, and no second copy of the group is made.
    values = templates if by_templates else (sum_in_double(row, templates) for row in rows)
    with torch.no_grad():
        for kept, value in zip(stored.templates or stored.owners or (), values, strict=True):
            kept.copy_(value)
        if stored.coefficients is not None:
            stored.coefficients.copy_(rows)
        tied = TiedLayers(stored, tuple(map(int, tie.assignment))).to(templates)
        tied.gains.copy_(torch.as_tensor(tie.gains, dtype=torch.float64))
        coefficients = bank.coefficients.detach().double()
        for row, left, right in zip(tied.rows, tied.left, tied.right, strict=True):
            missing = coefficients[row] - tie.gains[row] * rows[tie.assignment[row]]
            factors = closest(sum_in_double(missing, templates), left.shape[1])
            left.copy_(factors[0])
            right.copy_(factors[1])
    return tied


def sum_in_double(row: Tensor, templates: Tensor) -> Tensor:
    """sum_j row_j T_j in float64: row (K,), templates (K, O, I, *kernel) -> (O, I, *kernel)."""
    total = torch.zeros_like(templates[0], dtype=torch.float64)
    for weight, template in zip(row, templates, strict=True):
        total += weight * template
    return total


def only_calls_layers(network: nn.Module) -> bool:
    """Whether no forward of a network does anything with its layers but call them, and none writes to its module.

    So it is of torch's own layers and containers. A class of one's own says so by `only_calls_layers = True`, which
    what is derived from it does not inherit.
    """
    return all(_only_calls(module) for module in network.modules())


def _only_calls(module: nn.Module) -> bool:
    """The same of one module, its children aside."""
    kind = type(module)
    if "forward" in vars(module):
        return False
    torchs = kind.__module__.startswith("torch.nn.modules.") and (kind in CONTAINERS or not module._modules)
    return torchs or vars(kind).get("only_calls_layers") is True


def use_owner(layer: nn.Module, gain: Tensor, *residual: Tensor) -> None:
    """Let a view of a convolution or linear layer, whose weight is an owner (O, I, *kernel), compute with gain () times
    that weight, and with the residual's B (O, r) and A (r, I * kernel) where there is one.

    A call scales what passes through where its input has fewer numbers than the weight, since g C * x = g (C * x): the
    output, where that lies, or with a bias, which has no gain, the input. No scaled weight is made. That rounds
    differently, so under autocast and in half precision, where it would show and C * x may overflow although g C * x
    does not, the weight is scaled; and a layer of another class than torch's own may do more with its weight than
    multiply by it. With a residual the weight is made in every call. Whoever reads the weight reads the owner: see
    only_calls_layers.
    """
    vars(layer)["forward"] = partial(_using, layer, gain, residual)


def _using(layer: nn.Module, gain: Tensor, residual: tuple[Tensor, ...], x: Tensor) -> Tensor:
    """What a layer gives for x whose weight is an owner that it uses so."""
    forward, weight = type(layer).forward, layer._parameters["weight"]
    assert weight is not None
    coarse = x.itemsize < 4 or torch.is_autocast_enabled(x.device.type)
    if type(layer) in SHAREABLE and x.numel() < weight.numel() and not coarse and not residual:
        if layer._parameters["bias"] is None:
            return forward(layer, x).mul_(gain)  # type: ignore[no-any-return]
        return forward(layer, x * gain)  # type: ignore[no-any-return]
    return forward(view(layer, {"weight": use(weight, gain, *residual)}), x)  # type: ignore[no-any-return]
