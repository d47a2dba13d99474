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
    """The m squared singular values of a weight as a matrix (O, I * kernel), largest first, and the singular vectors on
    its smaller side, of m numbers, as columns (m, m); both float64."""
    rows = _wide(weight)
    squares, vectors = torch.linalg.eigh(rows @ rows.T)
    return squares.flip(0).clamp(min=0), vectors.flip(1)


def _wide(weight: Tensor) -> Tensor:
    """A weight as a matrix that is no taller than it is wide, which a layer of a transformer may be four times: inner
    products of its columns then cost a sixteenth of those of its rows."""
    rows = weight.detach().flatten(1).double()
    return rows if len(rows) <= rows.shape[1] else rows.T


def ranks_within(energies: Sequence[Tensor], shape: Sequence[int], numbers: int) -> list[int]:
    """How many ranks each layer gets so that all layers together keep the most energy that `numbers` can hold."""
    most = min(shape[0], math.prod(shape[1:]))
    found = torch.cat(list(energies))
    taken = torch.topk(found, min(numbers // a_rank_takes(shape), len(found))).indices
    return torch.bincount(taken // most, minlength=len(energies)).tolist()


def kept_by_ranks(weights: Sequence[Tensor], numbers: int, less: Tensor | None = None) -> float:
    """The energy (sum of squares) that the truncated singular value decompositions keep of weights of one shape, or of
    what is left of them without the matrix `less`, stored in at most so many numbers."""
    left = (weight if less is None else weight.detach().double() - less for weight in weights)  # one at a time
    if numbers >= sum(weight.numel() for weight in weights):
        return sum(float(weight.detach().double().square().sum()) for weight in left)
    energies = [energies_of(weight)[0] for weight in left]
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


def closest(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """B (O, r) and A (r, I * kernel), float64, whose product is the matrix of rank r that comes closest to a weight
    (O, I, *kernel): the truncated singular value decomposition."""
    exact = weight.detach().double()
    return factors(exact, rank, *energies_of(exact))


def factors(weight: Tensor, rank: int, squares: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """B (O, r) and A (r, I * kernel), whose product comes closest to a weight; the columns of B are as long as the rows
    of A, so that both learn at one rate."""
    halves = squares[:rank].sqrt().sqrt()
    rows = _wide(weight)
    near = vectors[:, :rank] * halves
    far = (vectors[:, :rank].T @ rows) / torch.where(halves > 0, halves, 1.0)[:, None]
    left, right = (near, far) if len(rows) == len(weight) else (far.T, near.T)
    return left.to(weight), right.contiguous().to(weight)
