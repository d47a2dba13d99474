"""A layer that uses an owner by a gain, W = g C: what passes through it is scaled where that is smaller than its weight."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from foldnet.sharing.lend import view, view_class
from foldnet.sharing.plan import SHAREABLE

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def only_calls_layers(network: nn.Module) -> bool:
    """Whether no forward of a network does anything with its layers but call them, and none writes to its module.

    So it is of torch's own layers and containers. A class of one's own says so by `only_calls_layers = True`, which what is derived
    from it does not inherit.
    """
    return all(_only_calls(module) for module in network.modules())


def _only_calls(module: nn.Module) -> bool:
    """The same of one module, its children aside."""
    kind = type(module)
    if "forward" in vars(module):
        return False
    torchs = kind.__module__.startswith("torch.nn.modules.") and (kind in CONTAINERS or not module._modules)
    return torchs or vars(kind).get("only_calls_layers") is True


def gained(layer: nn.Module, tensors: Mapping[str, Tensor], *, either_side: bool) -> nn.Module:
    """A view of a convolution or linear layer whose weight is tensors["gain"] () times tensors["weight"] (O, I, *kernel), an owner.

    With `either_side` a call scales what passes through where its input has fewer numbers than the weight, since g C * x = g (C * x):
    the output, where that lies, or with a bias, which has no gain, the input. No scaled weight is made. That rounds differently, so under autocast, where it would show, the weight is scaled in full precision;
    and a layer of another class than torch's own may do more with its weight than multiply by it.
    """
    return view(layer, tensors, lent=either_side, kind=_gained_class(type(layer)))  # type: ignore[arg-type]


@cache
def _gained_class(kind: type[nn.Module]) -> type[nn.Module]:
    """Views of layers of the class `kind` that scale in every call."""
    linear = kind in SHAREABLE
    plain = view_class(kind)  # type: ignore[arg-type]

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        own = self._parameters
        weight, gain = own["weight"], own["gain"]
        assert weight is not None
        assert gain is not None
        if linear and self.lent and x.numel() < weight.numel() and not torch.is_autocast_enabled(x.device.type):
            if own["bias"] is None:
                return kind.forward(self, x).mul_(gain)  # type: ignore[no-any-return]
            return kind.forward(self, x * gain)  # type: ignore[no-any-return]
        scaled = view(self, {"weight": gain * weight}, kind=plain)
        return kind.forward(scaled, x)  # type: ignore[no-any-return]

    body = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__, "forward": forward}
    made: type[nn.Module] = type(kind)(kind.__name__, (plain,), body)  # type: ignore[misc]
    return made
