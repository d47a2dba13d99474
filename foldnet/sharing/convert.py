"""Trained weights to templates: the bank that comes closest to the weights of a group's layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldnet.sharing.share import Bank, gram

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
    return Spectrum.of(gram(torch.stack([weight.detach() for weight in weights])))


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
    count = len(bank.templates)
    values, columns = found.values[:count], found.columns[:, :count]
    sound = values > LEAST * (values[0] if values[0] > 0 else 1.0)
    rows = torch.stack([weight.detach().flatten() for weight in weights])
    templates = _product(torch.where(sound, columns / torch.where(sound, values, 1.0), 0.0).T.to(rows.device), rows)
    length = _root_mean_square(rows)
    scale = _root_mean_square(templates[sound]) / length if length else 1.0
    templates[sound] /= scale
    templates[~sound] = _orthogonal(templates[sound], int((~sound).sum()), seed)
    if length:
        templates[~sound] *= length * math.sqrt(rows.shape[1])
    with torch.no_grad():
        bank.coefficients.copy_(torch.where(sound, scale * columns * values, 0.0))
        shape = (count, *weights[0].shape)
        bank.templates.copy_(templates.view(shape).movedim(2, -1))
    return found.kept(count)


def _root_mean_square(rows: Tensor) -> float:
    """Of all numbers; 0 of none."""
    return float(rows.double().square().mean().sqrt()) if rows.numel() else 0.0


def _product(mixing: Tensor, rows: Tensor) -> Tensor:
    """mixing (K, L) float64 @ rows (L, N) in float64, a slice of rows at a time -> (K, N) in the precision of rows."""
    out = rows.new_empty(len(mixing), rows.shape[1])
    for start in range(0, rows.shape[1], 1 << 18):
        part = slice(start, start + (1 << 18))
        out[:, part] = (mixing @ rows[:, part].double()).to(rows.dtype)
    return out


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
