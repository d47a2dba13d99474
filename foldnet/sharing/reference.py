"""The slow reference: a soft network whose layers mix their weights one at a time, as equation 1 is written. For tests
and benchmarks only (Savarese & Maire, https://arxiv.org/abs/1902.09701)."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.sharing.share import Bank, SharedNetwork


class MixingLayer(nn.Module):
    """A convolution or linear layer that mixes its own weight in every call: W = sum_j alpha_j T_j.

    Shapes: templates (K, O, I, *kernel), one parameter for all layers of a group; coefficients (K,), the layer's own;
    x and output as those of the layer.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, templates: nn.Parameter, coefficients: Tensor) -> None:
        """`layer` says everything but the weight."""
        super().__init__()
        self.layer, self.templates = layer, templates
        self.coefficients = nn.Parameter(coefficients.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        ones = [1] * (self.templates.dim() - 1)
        weight, layer = (self.coefficients.view(-1, *ones) * self.templates).sum(0), self.layer
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, layer.bias)
        return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def reference_of(soft: SharedNetwork) -> nn.Module:
    """The network that computes what `soft` computes, slowly; its weights are copies.

    Raises SettingError where a layer that shares is neither linear nor a two-dimensional convolution, or a group has no
    bank.
    """
    network = copy.deepcopy(soft.network)
    for group in soft.plan.groups:
        bank = soft.sources[group.name]
        if not isinstance(bank, Bank):
            raise SettingError(f"group '{group.name}' has no bank of templates; give the reference a soft network")
        templates = nn.Parameter(bank.templates.detach().movedim(-1, 2).clone(memory_format=torch.contiguous_format))
        for name, coefficients in zip(group.layers, bank.coefficients, strict=True):
            layer = network.get_submodule(name)
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                said = f"layer '{name}' is neither linear nor a two-dimensional convolution"
                raise SettingError(f"{said}; the reference knows no other")
            network.set_submodule(name, MixingLayer(layer, templates, coefficients))
    return network
