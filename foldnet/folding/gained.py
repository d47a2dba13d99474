"""A layer that uses an owner by a gain, W = g C: what passes through it is scaled where that is smaller than its
weight."""

from functools import partial

import torch
from torch import Tensor, nn

from foldnet.sharing.lend import view
from foldnet.sharing.plan import SHAREABLE

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


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


def scale_outputs(layer: nn.Module, gain: Tensor) -> None:
    """Let a view of a convolution or linear layer, whose weight is an owner (O, I, *kernel), compute with gain () times
    that weight.

    A call scales what passes through where its input has fewer numbers than the weight, since g C * x = g (C * x): the
    output, where that lies, or with a bias, which has no gain, the input. No scaled weight is made. That rounds
    differently, so under autocast and in half precision, where it would show and C * x may overflow although g C * x
    does not, the weight is scaled; and a layer of another class than torch's own may do more with its weight than
    multiply by it. Whoever reads the weight reads the owner:
    see only_calls_layers.
    """
    vars(layer)["forward"] = partial(_scaled, layer, gain)


def _scaled(layer: nn.Module, gain: Tensor, x: Tensor) -> Tensor:
    """What a layer gives for x whose weight is its own times `gain`."""
    forward, weight = type(layer).forward, layer._parameters["weight"]
    assert weight is not None
    coarse = x.itemsize < 4 or torch.is_autocast_enabled(x.device.type)
    if type(layer) in SHAREABLE and x.numel() < weight.numel() and not coarse:
        if layer._parameters["bias"] is None:
            return forward(layer, x).mul_(gain)  # type: ignore[no-any-return]
        return forward(layer, x * gain)  # type: ignore[no-any-return]
    return forward(view(layer, {"weight": gain * weight}), x)  # type: ignore[no-any-return]
