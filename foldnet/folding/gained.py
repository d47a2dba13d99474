"""A layer that uses an owner by a gain, W = g C: the smaller of its weight and its input is scaled."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from foldnet.sharing.lend import view, view_class
from foldnet.sharing.plan import SHAREABLE


def gained(layer: nn.Module, tensors: Mapping[str, Tensor], *, either_side: bool) -> nn.Module:
    """A view of a convolution or linear layer whose weight is tensors["gain"] () times tensors["weight"] (O, I, *kernel), an owner.

    With `either_side` a call scales its input where that has fewer numbers than the weight: both are linear, g C * x = C * g x, and
    no scaled weight is made. That rounds differently, so under autocast, where it would show, the weight is scaled in full precision;
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
            return kind.forward(self, x * gain)  # type: ignore[no-any-return]
        scaled = view(self, {"weight": gain * weight}, kind=plain)
        return kind.forward(scaled, x)  # type: ignore[no-any-return]

    body = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__, "forward": forward}
    made: type[nn.Module] = type(kind)(kind.__name__, (plain,), body)  # type: ignore[misc]
    return made
