"""Keeping a lent network from one call to the next where nothing that it was made of has changed.

A looped network at batch 1 would otherwise spend a tenth of its time on taking every step's tensors out of their
stacks. Nothing is computed ahead: what is kept are views of the stacks, which show whatever is written into those, and
never a scaled or mixed weight. So the only change to notice is that a tensor or a module was replaced, or that a tensor
moved (`tensor.data = ...`, as Module.to does).

How it may fail: a tensor that moves and then moves back to the very same address between two calls. The views keep that
memory alive, so that nothing else can be put there meanwhile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.folding.memory import stackable


@dataclass(frozen=True, slots=True)
class Ready:
    """A lent network, and what it stands on: owners, dictionaries with what was in them, tensors with their
    addresses."""

    root: nn.Module
    network: nn.Module
    weights: tuple[Tensor, ...]
    held: tuple[tuple[Mapping[str, object], tuple[object, ...]], ...]
    hooks: tuple[Mapping[int, object], ...]
    addresses: tuple[tuple[Tensor, int], ...]

    def holds(self, root: nn.Module, weights: tuple[Tensor, ...]) -> bool:
        """Whether the network is still what would be made of `root` and the owners `weights` now."""
        return (
            root is self.root  # a replica of nn.DataParallel is given all that the module had
            and (len(weights) == len(self.weights) and all(map(is_, weights, self.weights)))
            and not any(self.hooks)
            and all(len(found) == len(kept) and all(map(is_, found.values(), kept)) for found, kept in self.held)
            and all(tensor.data_ptr() == address for tensor, address in self.addresses)
        )


def keep(root: nn.Module, network: nn.Module, weights: tuple[Tensor, ...], bodies: Iterable[nn.Module]) -> Ready | None:
    """`network`, lent from `root` with the owners `weights` and slices of the tensors of `bodies`; None where it cannot
    be kept."""
    stacks = [tensor for body in bodies for _, tensor in stackable(body)]
    if not all(map(_lies_in_memory, (*stacks, *weights))):
        return None
    plain = [module for module in root.modules() if not isinstance(module, torch.jit.ScriptModule)]
    held: list[Mapping[str, Any]] = [vars(module) for module in plain]
    held += [place for module in plain for place in (module._modules, module._parameters, module._buffers) if place]
    return Ready(
        root,
        network,
        weights,
        tuple((place, tuple(place.values())) for place in held),
        tuple(hooks for module in plain for hooks in (module._forward_hooks, module._forward_pre_hooks)),
        tuple((tensor, tensor.data_ptr()) for tensor in stacks),
    )


def _lies_in_memory(tensor: Tensor) -> bool:
    """Whether a tensor is itself, not what torch.func, torch.export or a fake mode puts in its place, and slices of it
    are too."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.is_meta or not tensor.numel():
        return False
    try:
        part = tensor.detach()[:1]
        return type(part) is Tensor and part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # of torch.func's wrappers, which have no storage
        return False
