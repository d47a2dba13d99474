"""Whether two blocks are proven to compute the same but for the tensors that each has of its own (a loop may merge no
others).

A loop keeps of its blocks one module and stacks their registered tensors by step. So everything else must be equal:
classes, attributes, modes, hooks; and every registered tensor must be the block's alone, since stacking would part it
from its twin.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldnet.folding.memory import attributes_of, stackable
from foldnet.folding.values import Comparison, attributes, is_open, paired, show
from foldnet.sharing.reached import MISSING
from foldnet.sharing.sequences import joined

# By the name of the class, since that of timm is not imported: which attribute it is.
_DROPOUTS = ("AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "StochasticDepth")
OWNED = dict.fromkeys(_DROPOUTS, "p") | {"DropPath": "drop_prob"}


def owned_number(module: nn.Module) -> str | None:
    """The attribute of a module that its step may own; None where there is none, or where the module holds more than
    such numbers."""
    name = OWNED.get(type(module).__name__)
    bare = not module._modules and not module._parameters and not module._buffers
    return name if name is not None and bare and type(vars(module).get(name)) in (int, float) else None


def own_numbers(blocks: list[nn.Module]) -> dict[tuple[str, str], tuple[int | float, ...]]:
    """The numbers in which blocks of one structure differ, one a block."""
    places = ((path, owned_number(module)) for path, module in blocks[0].named_modules())
    found = {
        (path, name): tuple(vars(block.get_submodule(path))[name] for block in blocks)
        for path, name in places
        if name is not None
    }
    return {place: numbers for place, numbers in found.items() if len(set(numbers)) > 1}


_EVERY = frozenset(vars(nn.Module()))  # attributes that every module has
_HOOKS = tuple(sorted(name for name in _EVERY if name.endswith("_hooks")))
_TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


@dataclass(frozen=True, slots=True)
class Difference:
    """What keeps two blocks apart: an attribute by its place in the block, such as "norm.eps", and how it differs."""

    attribute: str
    reason: str


def differences(one: nn.Module, other: nn.Module, ignore: Collection[str] = ()) -> Iterator[Difference]:
    """Everything in which two blocks are not proven equal, nothing where they may be merged.

    Plain attributes in `ignore`, by their name or place, are not looked at.
    """
    first, second = (dict(block.named_modules(remove_duplicate=False)) for block in (one, other))
    apart = list(_structural(first, second))
    yield from apart
    if apart:
        return
    yield from (*_named_twice(one), *_named_twice(other))
    tensors = (tensor for block in (one, other) for _, tensor in stackable(block))
    comparison = Comparison(((first[name], second[name]) for name in first), tensors)
    for name, module in one.named_modules():
        yield from _of_module(name, module, second[name], comparison, ignore)


def attribute_names(block: nn.Module) -> set[str]:
    """The plain attributes of a block and its submodules, by name and by place, such as "eps" and "norm.eps"."""
    found = ((path, name) for path, module in block.named_modules() for name in attributes(module).keys() - _EVERY)
    return {called for path, name in found for called in (name, joined(path, name))}


def _structural(first: Mapping[str, nn.Module], second: Mapping[str, nn.Module]) -> Iterator[Difference]:
    """Submodules and their classes; which submodules are one object."""
    for name, one, other in paired(first, second):
        if one is MISSING or other is MISSING:
            yield Difference(name, "a submodule of one block alone")
        elif type(one) is not type(other):
            yield Difference(name or "class", f"{show(type(one))} and {show(type(other))}")
        elif isinstance(one, torch.jit.ScriptModule) or not is_open(type(one)):
            yield Difference(name or "class", f"a {type(one).__name__} cannot be compared")
        elif list(one._modules) != list(other._modules):
            yield Difference(name or "submodules", "submodules of other names or in another order")
    ids, others = (list(map(id, found.values())) for found in (first, second))
    if list(map(ids.index, ids)) != list(map(others.index, others)):
        yield Difference("submodules", "one submodule in two places of one block, and two in the other")


def _of_module(
    path: str, one: nn.Module, other: nn.Module, comparison: Comparison, ignore: Collection[str]
) -> Iterator[Difference]:
    """One submodule, its own submodules aside."""
    if one.training != other.training:
        yield Difference(joined(path, "training"), f"{one.training} and {other.training}")
    for name in _HOOKS:
        if getattr(one, name) or getattr(other, name):
            yield Difference(joined(path, name), "a hook may do anything")
    if one._non_persistent_buffers_set != other._non_persistent_buffers_set:
        yield Difference(joined(path, "_non_persistent_buffers_set"), "buffers that are saved, and that are not")
    for first, second in ((one._parameters, other._parameters), (one._buffers, other._buffers)):
        if list(first) != list(second):
            yield Difference(path or "tensors", "tensors of other names or in another order")
            continue
        unlike = ((name, _unlike(tensor, second[name])) for name, tensor in first.items())
        yield from (Difference(joined(path, name), reason) for name, reason in unlike if reason is not None)
    if not type(one).__module__.startswith("torch.nn.modules."):
        for name in (name for name, buffer in one._buffers.items() if buffer is None):
            yield Difference(joined(path, name), "a buffer that a pass may fill cannot be stacked before it is")
    owned = owned_number(one) if owned_number(one) == owned_number(other) else None
    for name, value, counterpart in paired(attributes(one), attributes(other)):
        place = joined(path, name)
        if name == owned or (name in _EVERY and name != "_is_full_backward_hook") or name in ignore or place in ignore:
            continue
        if value is MISSING or counterpart is MISSING:
            yield Difference(place, "an attribute of one block alone")
        elif (reason := comparison.why_different(value, counterpart)) is not None:
            yield Difference(place, reason)


def _unlike(one: Tensor | None, other: Tensor | None) -> str | None:
    """Why two registered tensors cannot be stacked."""
    if one is None or other is None:
        return None if one is other else "a tensor of one block alone"
    for tensor in (one, other):
        plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided
        if not plain or tensor.is_quantized:
            return f"a {type(tensor).__name__} of layout {tensor.layout} cannot be stacked"
        if any(getattr(tensor, name) for name in _TENSOR_HOOKS):
            return "a hook may do anything"
        if names := attributes_of(tensor):
            return f"a tensor with an attribute of its own, '{names[0]}', cannot be stacked"
    if one.requires_grad != other.requires_grad:
        return f"requires_grad {one.requires_grad} and {other.requires_grad}"
    if (type(one), one.shape, one.dtype, one.device) != (type(other), other.shape, other.dtype, other.device):
        return f"{show(one)} and {show(other)}"
    return None


def _named_twice(block: nn.Module) -> Iterator[Difference]:
    """Registered tensors that stand in two places of a block: stacked, they would be two."""
    places: dict[int, str] = {}
    for place, tensor in stackable(block):
        twin = places.setdefault(id(tensor), place)
        if twin != place:
            yield Difference(place, f"the same tensor as {twin}")
