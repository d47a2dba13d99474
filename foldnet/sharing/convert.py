"""Trained weights to templates: the bank that comes closest to the weights of a group's layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldnet.sharing.share import SLICE, Bank, gram

FAR = 1e-3  # of its length: what must be left of a drawn row for its direction to be more than rounding
LEAST = 1e-6  # of the largest singular value: below it a direction is rounding, and a template of it would be noise


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The singular values of a group's L weights as rows, (L,) float64, largest first, and the orthonormal columns
    (L, L) that go with them: what every number of templates keeps can be told from it."""

    values: Tensor
    columns: Tensor

    @classmethod
    def of(cls, products: Tensor) -> Spectrum:
        """From the inner products (L, L) of the L rows, on the CPU wherever these are."""
        squares, columns = torch.linalg.eigh(products.cpu())
        return cls(squares.flip(0).clamp(min=0).sqrt(), columns.flip(1))

    def kept(self, templates: int) -> float:
        """The share of the weights' energy (squared lengths) that so many templates keep; 1 of weights that are all
        zero."""
        energy = self.values.square()
        return float(energy[:templates].sum() / energy.sum()) if energy.any() else 1.0


def spectrum_of(weights: Sequence[Tensor]) -> Spectrum:
    """Of weights of one shape: from their inner products in float64, so that no matrix of all of them is decomposed."""
    return Spectrum.of(gram(weights))


def fill_bank(bank: Bank, weights: Sequence[Tensor], spectrum: Spectrum | None = None, seed: int = 0) -> float:
    """Give a bank of K templates the coefficients A and templates T for which A T is closest to the rows W (L, N) of
    its layers' weights, in the least squares; with K = L it is W. Returns the share of energy that is kept.

    `spectrum` is that of the weights where it is not given; another, of what the layers compute, gives the bank that
    comes closest to that. With its U and S: A = c U_K S_K and T = U_K^t W / (c S_K), where c makes the templates' root
    mean square that of the weights, so that both learn as those of a new bank do. Directions below LEAST of the largest
    get coefficients of zero, and templates that are orthogonal to the others and to each other, drawn by `seed`: they
    are there to be learnt.
    Source: Eckart and Young, "The approximation of one matrix by another of lower rank" (1936).
    """
    found = spectrum if spectrum is not None else spectrum_of(weights)
    count, numbers = len(bank.templates), weights[0].numel()
    values, columns = found.values[:count], found.columns[:, :count]
    sound = values > LEAST * (values[0] if values[0] > 0 else 1.0)
    templates = bank.templates.detach()
    _mix(torch.where(sound, columns / torch.where(sound, values, 1.0), 0.0).T, weights, templates)
    length = _root_mean_square(weights)
    made = [template for template, one in zip(templates, sound, strict=True) if one]
    scale = _root_mean_square(made) / length if length else 1.0
    for template in made:
        template /= scale
    if len(made) < count:
        flat = [template.movedim(-1, 1).flatten() for template in made]
        taken = torch.stack(flat) if flat else templates.new_empty(0, numbers)
        drawn = _orthogonal(taken, count - len(made), seed) * (length * math.sqrt(numbers) if length else 1.0)
        templates[~sound] = drawn.view(-1, *weights[0].shape).movedim(2, -1)
    with torch.no_grad():
        bank.coefficients.copy_(torch.where(sound, scale * columns * values, 0.0))
    return found.kept(count)


def _root_mean_square(tensors: Sequence[Tensor]) -> float:
    """Of all numbers of tensors of one size; 0 of none."""
    count = sum(tensor.numel() for tensor in tensors)
    squares = sum(float(tensor.detach().double().square().sum()) for tensor in tensors)
    return math.sqrt(squares / count) if count else 0.0


def _mix(mixing: Tensor, weights: Sequence[Tensor], templates: Tensor) -> None:
    """Write mixing (K, L) float64 times the L weights (O, I, *kernel) into templates (K, O, *kernel, I): in float64,
    some outputs at a time, so that there is never a second copy of them all."""
    mixing = mixing.to(templates.device)
    step = max(1, SLICE // max(1, weights[0][:1].numel()))
    for start in range(0, len(weights[0]), step):
        rows = torch.stack([weight.detach()[start : start + step] for weight in weights])
        mixed = mixing @ rows.flatten(1).double()
        templates[:, start : start + step] = mixed.view(-1, *rows.shape[1:]).movedim(2, -1)


def _orthogonal(taken: Tensor, count: int, seed: int) -> Tensor:
    """`count` rows of length 1 that are orthogonal to those `taken` (n, N) and, where there is room, to each other."""
    generator = torch.Generator().manual_seed(seed)
    found = nn.functional.normalize(taken, dim=1)
    rows = taken.new_zeros(count, taken.shape[1])
    for row in rows[: max(taken.shape[1] - len(taken), 0)]:
        length = 0.0
        while length < FAR:  # the weights may be what this generator draws: then only rounding is left of it
            drawn = nn.functional.normalize(torch.randn(row.shape, generator=generator), dim=0).to(taken)
            row.copy_(drawn - found.T @ (found @ drawn))
            row.sub_(found.T @ (found @ row))  # once more, since the first time leaves rounding
            length = float(row.norm())
        row /= length
        found = torch.cat([found, row[None]])
    return rows
