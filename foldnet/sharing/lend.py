"""Lending tensors to a module for one call: a view of it runs, and nothing of the module itself changes.

A view is another object of (a subclass of) the same class which has parameters, buffers and children of its own and everything else,
down to its `__dict__`, in common with the module: modes, hooks, options, and what a forward pass writes to `self`. So any number of
calls may run at once, each with its own tensors. Putting tensors into the module and taking them out again, as
torch.func.functional_call does, would let one call see those of another.

How this may fail: hooks are handed the view, which is not the module that they were put on, and `type(self) is X` is false inside
a view. Besides its children, a view knows the modules and bound methods that stand in plain attributes, lists, tuples and
dictionaries of a module; one that is held elsewhere, such as in a closure, is reached without what is lent, and fails for want of it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def lend(module: M, tensors: Mapping[nn.Module, Mapping[str, Tensor]], instead: Mapping[Any, nn.Module]) -> M:
    """What computes as `module` would if those of its submodules which are keys had these tensors, or were these others.

    A submodule that is reached in several ways is replaced in each. Where nothing is lent `module` itself comes back.
    """
    standing: dict[nn.Module, Any] = dict(instead)
    lent: M = _lend(module, tensors, standing)
    return lent


def _lend(module: nn.Module, tensors: Mapping[nn.Module, Mapping[str, Tensor]], standing: dict[nn.Module, Any]) -> Any:
    """What stands for `module`; `standing` remembers it."""
    if module in standing:
        return standing[module]
    children: dict[str, nn.Module | None] = {}
    changed = False
    for name, child in module._modules.items():
        children[name] = None if child is None else _lend(child, tensors, standing)
        changed = changed or children[name] is not child
    own = tensors.get(module)
    lent = view(module, own or {}, children if changed else None) if own or changed else module
    standing[module] = lent
    if lent is not module and (elsewhere := dict(_held_elsewhere(module, standing))):
        _shadow(lent, elsewhere)
    return lent


def _held_elsewhere(module: nn.Module, standing: Mapping[nn.Module, Any]) -> Iterator[tuple[str, Any]]:
    """Plain attributes in which modules or their methods stand, with those that stand for them."""
    for name, value in vars(module).items():
        if type(value) in (MethodType, list, tuple, dict) and name not in ("_parameters", "_buffers", "_modules"):
            other = _reached(value, standing)
            if other is not value:
                yield name, other


def _reached(value: Any, standing: Mapping[nn.Module, Any]) -> Any:
    """`value` with what stands for the modules in it; itself where there are none."""
    if isinstance(value, nn.Module):
        return standing.get(value, value)
    if type(value) is MethodType:
        owner = _reached(value.__self__, standing) if isinstance(value.__self__, nn.Module) else value.__self__
        return value if owner is value.__self__ else MethodType(value.__func__, owner)
    if type(value) in (list, tuple):
        parts = [_reached(part, standing) for part in value]
        return value if all(a is b for a, b in zip(parts, value, strict=True)) else type(value)(parts)
    if type(value) is dict:
        found = {key: _reached(part, standing) for key, part in value.items()}
        return value if all(found[key] is part for key, part in value.items()) else found
    return value


def _shadow(seen: nn.Module, values: dict[str, Any]) -> None:
    """Let a view read these attributes in place of those that stand in the `__dict__` which it shares."""
    put = object.__setattr__
    put(seen, "shadows", values)
    put(seen, "__class__", _shadowing(type(seen), frozenset(values)))  # type: ignore[arg-type]


def shadowed(module: M, values: Mapping[str, Any]) -> M:
    """A view of a module that reads these plain attributes in place of the module's own."""
    seen = view(module, {})
    _shadow(seen, dict(values))
    return seen


def view(
    module: M,
    tensors: Mapping[str, Tensor],
    children: Mapping[str, nn.Module | None] | None = None,
    *,
    lent: Any = None,
    kind: type[nn.Module] | None = None,
) -> M:
    """`module` with these parameters and buffers, and these children where they are given; `lent` is an attribute of the view's own.

    `kind` is a class that view_class made, for views that compute in another way.
    """
    seen = object.__new__(kind or view_class(type(module)))  # type: ignore[arg-type]
    put = object.__setattr__
    put(seen, "__dict__", vars(module))
    buffers = {name: tensor for name, tensor in tensors.items() if name in module._buffers}
    put(seen, "_buffers", {**module._buffers, **buffers} if buffers else module._buffers)
    parameters = {name: tensor for name, tensor in tensors.items() if name not in buffers}
    put(seen, "_parameters", {**module._parameters, **parameters} if parameters else module._parameters)
    put(seen, "_modules", module._modules if children is None else dict(children))
    put(seen, "lent", lent)
    if (
        plain := vars(module).keys() & tensors.keys()
    ):  # a replica of nn.DataParallel has its parameters as plain attributes
        _shadow(seen, {name: tensors[name] for name in plain})
    return seen  # type: ignore[return-value]


@cache
def view_class(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of views of modules whose class is `kind`; slots of the class come before what stands in `__dict__`."""
    if getattr(kind, "is_view", False):
        return kind

    def find(self: nn.Module, name: str) -> Any:
        """nn.Module would look into the `__dict__` that is the module's too."""
        for held in (self._parameters, self._buffers, self._modules):
            if name in held:
                return held[name]
        return kind.__getattr__(self, name)

    def put(self: nn.Module, name: str, value: Any) -> None:
        """A new value for a buffer that is lent goes to where that buffer lies in memory."""
        kept = self._buffers.get(name)
        if kept is not None and self._buffers is not vars(self)["_buffers"]:
            with torch.no_grad():
                kept.copy_(value)
        else:
            kind.__setattr__(self, name, value)

    body = {
        "__slots__": ("_buffers", "_modules", "_parameters", "lent", "shadows"),
        "is_view": True,
        "__doc__": kind.__doc__,
        "__getattr__": find,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__setattr__": put,
        # What nn.Module.compile made of the module itself does not know what is lent.
        "_compiled_call_impl": property(lambda self: None),
    }
    made: type[nn.Module] = type(kind)(kind.__name__, (kind,), body)  # type: ignore[misc]
    return made


@cache
def _shadowing(kind: type[nn.Module], names: frozenset[str]) -> type[nn.Module]:
    """The class of views whose attributes `names` are read from `shadows`: properties come before what stands in `__dict__`."""

    def reader(name: str) -> property:
        return property(lambda self: self.shadows[name])

    body = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    made: type[nn.Module] = type(kind)(kind.__name__, (kind,), body | {name: reader(name) for name in names})  # type: ignore[misc]
    return made


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers that a module holds itself, those of a replica of nn.DataParallel too."""
    held = {**module._parameters, **vars(module).get("_former_parameters", {}), **module._buffers}
    return {name: tensor for name, tensor in held.items() if tensor is not None}
