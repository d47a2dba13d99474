"""Registered tensors that are more than their numbers: a stack would part them from what else shows their memory."""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from types import FrameType, FunctionType, ModuleType, TracebackType

import torch
from torch import Tensor, nn

from foldnet.folding.values import attributes
from foldnet.sharing.lend import DICTIONARIES, tensors_of
from foldnet.sharing.reached import inside
from foldnet.sharing.sequences import joined

_CLOSED = (nn.Module, type, ModuleType, FrameType, TracebackType)  # what is behind them is not the value's own


def attributes_of(tensor: Tensor) -> list[str]:
    """The names of the Python attributes that a tensor was given, those of torch's compiler aside."""
    return [name for name in vars(tensor) if not name.startswith("_dynamo_")]


def stackable(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) for every parameter and buffer of a network, wherever it stands, outside TorchScript modules:
    their tensors have fixed places."""
    for path, module in network.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            for key, tensor in tensors_of(module).items():
                yield joined(path, key), tensor


def in_several_places(network: nn.Module, blocks: Mapping[str, nn.Module]) -> frozenset[int]:
    """Ids of the modules and tensors that stand in more than one block, or in a block and outside of the blocks, of the
    tensors that are registered twice or whose memory is reached in another way, and of those with attributes of their
    own. `blocks` are by their names.
    """
    tensors = [tensor for _, tensor in stackable(network)]
    several = {key for key, homes in homes_of(network, blocks).items() if len(homes) > 1}
    several |= {key for key, count in Counter(map(id, tensors)).items() if count > 1}
    return in_other_tensors(network) | several | {id(tensor) for tensor in tensors if attributes_of(tensor)}


def homes_of(network: nn.Module, blocks: Mapping[str, nn.Module]) -> dict[int, dict[str, str]]:
    """By the ids of modules and tensors the blocks in which they stand, "" outside of these, each with their name
    there."""
    found: dict[int, dict[str, str]] = {}
    apart = set(map(id, blocks.values()))

    def walk(module: nn.Module, home: str, path: str) -> None:
        if isinstance(module, torch.jit.ScriptModule) or home in found.get(id(module), {}):
            return
        for name, part in (("", module), *tensors_of(module).items()):
            found.setdefault(id(part), {}).setdefault(home, joined(path, name))
        for name, child in module._modules.items():
            if child is not None and id(child) not in apart:
                walk(child, home, joined(path, name))

    for name, block in (*blocks.items(), ("", network)):
        walk(block, name, "")
    return found


def in_other_tensors(network: nn.Module) -> frozenset[int]:
    """Ids of the registered tensors of a network whose memory is reached in another way too: by another tensor that is
    registered, or by one, perhaps the same, that a plain attribute holds, however deep."""
    registered = {id(tensor): tensor for _, tensor in stackable(network)}
    spans: dict[int, list[tuple[int, int, int]]] = {}  # where in a storage tensors begin and end
    for tensor in (*registered.values(), *_held(network)):
        if (span := _span(tensor)) is not None:
            spans.setdefault(span[0], []).append((*span[1:], id(tensor)))
    found: set[int] = set()
    for ranges in spans.values():
        _, last, owner = min(ranges)
        for start, end, key in sorted(ranges)[1:]:
            if start < last:
                found |= {key, owner}
            last, owner = max((last, owner), (end, key))
    return frozenset(found & registered.keys())


def _span(tensor: Tensor) -> tuple[int, int, int] | None:
    """The storage of a tensor, and the addresses from which to which it lies there; None where it has no memory."""
    try:
        storage, start = tensor.untyped_storage().data_ptr(), tensor.data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse ones, and those of torch.func
        return None
    if not storage or not tensor.numel():
        return None
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return storage, start, start + tensor.itemsize * (1 + sum((size - 1) * stride for size, stride in steps))


def _held(network: nn.Module) -> Iterator[Tensor]:
    """The tensors that plain attributes of modules hold. Nothing of a value is called: the collector of garbage says
    what it holds."""
    modules = [module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)]
    found = [value for module in modules for name, value in attributes(module).items() if name not in DICTIONARIES]
    seen: set[int] = set()
    while found:
        value = found.pop()
        if id(value) in seen or issubclass(type(value), _CLOSED):
            continue
        seen.add(id(value))
        if issubclass(type(value), Tensor):
            yield value
        found += inside(value) if type(value) is FunctionType else gc.get_referents(value)
