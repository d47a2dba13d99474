"""The blocks that a stepped block runs as, without their tensors, beside the body that has those of all of them
stacked."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import BrokenPromise
from foldnet.folding.owners import only_calls_layers
from foldnet.sharing.lend import DICTIONARIES, same, view
from foldnet.sharing.sequences import joined


class _Refused(Tensor):
    """Stands where a part had a tensor: whoever reaches a part without what it is lent, and asks for as much as a
    shape, is refused."""

    @classmethod
    def __torch_function__(cls, *called: Any) -> Any:
        raise BrokenPromise(
            "a block that loops reaches a layer through an object in which foldnet does not look, such as one of a "
            "class of your own or a weak reference; hold layers as submodules, or in lists and dictionaries"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Refused":
        return self

    def __reduce_ex__(self, protocol: Any) -> str:
        return "_REFUSED"  # the one of this module


Twins = tuple[nn.Module, ...]  # one in each part
_ABSENT = torch.empty(0, device="meta")
_REFUSED = _ABSENT.as_subclass(_Refused)


@dataclass(slots=True)
class Seen:
    """A module of a body and its twins in the parts, with the attributes and children that it had when they were last
    alike."""

    module: nn.Module
    twins: Twins
    attributes: dict[str, Any]
    children: dict[str, Any]


def pairs(body: nn.Module, parts: Sequence[nn.Module], path: str = "") -> Iterator[tuple[str, nn.Module, Twins]]:
    """(path, module of the body, its twins) for every module that is not the parts' own too, such as one that stands
    elsewhere."""
    if isinstance(body, torch.jit.ScriptModule) or any(part is body for part in parts):
        return
    yield path, body, tuple(parts)
    for name, child in body._modules.items():
        twins = [part._modules.get(name) for part in parts]
        if child is not None and None not in twins:
            yield from pairs(child, twins, joined(path, name))  # type: ignore[arg-type]


def snapshots(body: nn.Module, parts: Sequence[nn.Module]) -> list[Seen]:
    """Body and parts as they are, alike."""
    return [Seen(module, twins, _attributes(module), dict(module._modules)) for _, module, twins in pairs(body, parts)]


def follow(seen: list[Seen]) -> None:
    """Give twins the attributes and children that were changed of their modules since."""
    for entry in list(seen):
        if not same(now := _attributes(entry.module), before := entry.attributes):
            changed = {name: value for name, value in now.items() if name not in before or value is not before[name]}
            for twin in entry.twins:
                vars(twin).update(changed)
                for name in before.keys() - now.keys():
                    vars(twin).pop(name, None)
            entry.attributes = now
        if not same(entry.module._modules, entry.children):
            for name, child in entry.module._modules.items():
                if child is not entry.children.get(name):
                    for twin in entry.twins:
                        twin._modules[name] = child if child is None else bare(child)
                    if child is not None:
                        seen += snapshots(child, [twin._modules[name] for twin in entry.twins])  # type: ignore[misc]
            for name in entry.children.keys() - entry.module._modules.keys():
                for twin in entry.twins:
                    twin._modules.pop(name, None)
            entry.children = dict(entry.module._modules)


@contextmanager
def shown(seen: list[Seen]) -> Iterator[None]:
    """Passes of the twins, after which a module has what they changed of its last twin's attributes.

    So whoever sets such an attribute of the module again, as a method that resets a state does, sets it for all twins.
    """
    before = [dict(vars(entry.twins[-1])) for entry in seen]
    try:
        yield
    finally:
        for entry, held in zip(seen, before, strict=True):
            for name, value in vars(entry.twins[-1]).items():
                if name not in DICTIONARIES and not (name in held and value is held[name]):
                    vars(entry.module)[name] = entry.attributes[name] = value


def bare(block: nn.Module, elsewhere: Collection[int] = (), *, tensors: bool = False) -> nn.Module:
    """A block of the same modules in new objects, without tensors or with them; those in `elsewhere`, by their ids, are
    left as they are."""
    known: dict[int, nn.Module] = {}

    def copied(module: nn.Module) -> nn.Module:
        if id(module) in elsewhere or isinstance(module, torch.jit.ScriptModule):
            return module
        if id(module) not in known:
            known[id(module)] = other = view(module, {})
            for name, child in module._modules.items():
                other._modules[name] = child if child is None else copied(child)
        return known[id(module)]

    made = copied(block)
    if not tensors:
        without_tensors(made, elsewhere)
    return made


def without_tensors(block: nn.Module, elsewhere: Collection[int] = (), absent: Tensor | None = None) -> None:
    """Take the tensors off a block; modules in `elsewhere`, by their ids, keep theirs.

    In their place stands what refuses, or `absent`: a plain tensor, for torch's compiler, in a block that does nothing
    with its layers but call them.
    """
    if id(block) in elsewhere or isinstance(block, torch.jit.ScriptModule):
        return
    absent = absent if absent is not None else _ABSENT if only_calls_layers(block) else _REFUSED
    for held in (block._parameters, block._buffers):
        held.update((name, absent) for name, tensor in held.items() if tensor is not None)  # type: ignore[misc]
    for child in block.children():
        without_tensors(child, elsewhere, absent)


def _attributes(module: nn.Module) -> dict[str, Any]:
    """The plain attributes of a module."""
    return {name: value for name, value in vars(module).items() if name not in DICTIONARIES}
