"""Weights of low rank, a product of two factors each: the control of everything that shares at the same size."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from foldnet.sharing.tied import Owners, TiedLayers


class LowRank(nn.Module):
    """Layers whose weights are products of their own: W_i = B_i A_i.

    Shapes: B_i (O, r_i), A_i (r_i, I * kernel); the weights are (O, I, *kernel).
    """

    def __init__(self, factors: Sequence[tuple[Tensor, Tensor]], shape: tuple[int, ...]) -> None:
        """`shape` is that of one weight."""
        super().__init__()
        self.shape = shape
        self.left = nn.ParameterList(left for left, _ in factors)
        self.right = nn.ParameterList(right for _, right in factors)

    def layer_weights(self) -> tuple[Tensor, ...]:
        """A weight (O, I, *kernel) for each of the L layers."""
        return tuple((left @ right).view(self.shape) for left, right in zip(self.left, self.right, strict=True))


def a_rank_takes(shape: Sequence[int]) -> int:
    """The numbers that one more rank takes in a layer whose weight has this shape (O, I, *kernel): O + I * kernel."""
    return shape[0] + math.prod(shape[1:])


def energies_of(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The squared singular values of a weight as a matrix (O, I * kernel), largest first, and its left singular vectors
    (O, O) as columns; both float64. Values that a matrix of this shape cannot have are 0."""
    rows = weight.detach().flatten(1).double()
    squares, vectors = torch.linalg.eigh(rows @ rows.T)
    return squares.flip(0).clamp(min=0), vectors.flip(1)


def ranks_within(energies: Sequence[Tensor], shape: Sequence[int], numbers: int) -> list[int]:
    """How many ranks each layer gets so that all layers together keep the most energy that `numbers` can hold."""
    most = min(shape[0], math.prod(shape[1:]))
    found = torch.cat([values[:most] for values in energies])
    taken = torch.topk(found, min(numbers // a_rank_takes(shape), len(found))).indices
    return torch.bincount(taken // most, minlength=len(energies)).tolist()


def kept_by_ranks(weights: Sequence[Tensor], numbers: int) -> float:
    """The energy (sum of squares) that the truncated singular value decompositions keep of weights of one shape, stored
    in at most so many numbers."""
    if numbers >= sum(weight.numel() for weight in weights):
        return float(sum(weight.detach().double().square().sum() for weight in weights))
    energies = [energies_of(weight)[0] for weight in weights]
    ranks = ranks_within(energies, weights[0].shape, numbers)
    return float(sum(values[:rank].sum() for values, rank in zip(energies, ranks, strict=True)))


def truncated(weights: Sequence[Tensor], numbers: int) -> nn.Module:
    """Weights of one shape (O, I, *kernel) as products of factors, in at most so many numbers: truncated singular value
    decompositions, whose ranks are given to the layers that need them most. Where the weights themselves need no more
    numbers they are kept, and gains of 1 with them.

    Source: Eckart and Young, "The approximation of one matrix by another of lower rank" (1936).
    """
    first, shape = weights[0], tuple(weights[0].shape)
    if numbers >= len(weights) * (first.numel() + 1):
        kept = TiedLayers(Owners(len(weights), None, shape), tuple(range(len(weights)))).to(first)
        with torch.no_grad():
            for own, weight in zip(kept.stored.owners or (), weights, strict=True):
                own.copy_(weight)
        return kept
    found = [energies_of(weight) for weight in weights]
    ranks = ranks_within([values for values, _ in found], shape, numbers)
    return LowRank([factors(weight, rank, *of) for weight, rank, of in zip(weights, ranks, found, strict=True)], shape)


def factors(weight: Tensor, rank: int, squares: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """B (O, r) and A (r, I * kernel), whose product comes closest to a weight; the columns of B are as long as the rows
    of A, so that both learn at one rate."""
    halves = squares[:rank].sqrt().sqrt()
    left = vectors[:, :rank] * halves
    right = (vectors[:, :rank].T @ weight.detach().flatten(1).double()) / torch.where(halves > 0, halves, 1.0)[:, None]
    return left.to(weight), right.to(weight)
