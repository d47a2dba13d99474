"""A bank: the templates and coefficients of one group (Savarese & Maire, https://arxiv.org/abs/1902.09701, equation
1)."""

import math

import torch
from torch import Tensor, nn


class Bank(nn.Module):
    """Weights mixed from shared templates: W_i = sum_j alpha_ij T_j.

    Shapes: templates (K, O, *kernel, I), coefficients (L, K); weights() is (L, O, I, *kernel). The input channels of a
    template stand last, so that the weights of convolutions come out channels-last without a copy.
    """

    def __init__(self, layers: int, templates: int, shape: tuple[int, ...]) -> None:
        """`shape` is that of one weight, (O, I, *kernel). Templates start Kaiming normal, coefficients orthogonal."""
        super().__init__()
        self.templates = nn.Parameter(torch.empty(templates, shape[0], *shape[2:], shape[1]))
        self.coefficients = nn.Parameter(torch.empty(layers, templates))
        if not self.templates.is_meta:  # there random numbers would do nothing but import a second's worth of modules
            nn.init.normal_(self.templates, std=math.sqrt(2.0 / math.prod(shape[1:])))
            nn.init.orthogonal_(self.coefficients)

    def weights(self) -> Tensor:
        """All weights of the group by one matrix product, (L, O, I, *kernel)."""
        return mix(self.coefficients, self.templates)

    def layer_weights(self) -> tuple[Tensor, ...]:
        """The same as L weights (O, I, *kernel)."""
        return self.weights().unbind(0)

    def gram(self) -> Tensor:
        """G = T T^t, the inner products of the templates, (K, K) in float64."""
        return gram(self.templates)


def mix(coefficients: Tensor, templates: Tensor) -> Tensor:
    """sum_j a_ij T_j: coefficients (M, K), templates (K, O, *kernel, I) -> weights (M, O, I, *kernel)."""
    mixed = coefficients @ templates.flatten(1)
    return mixed.view(-1, *templates.shape[1:]).movedim(-1, 2)


def gram(templates: Tensor) -> Tensor:
    """Inner products of the templates, (K, ...) -> (K, K), in float64 without a float64 copy of more than one slice."""
    flat = templates.detach().flatten(1)
    total = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat.device)
    for slice_ in torch.split(flat, 1 << 18, dim=1):
        wide = slice_.double()
        total += wide @ wide.T
    return total
