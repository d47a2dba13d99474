"""Names of modules and layers, and sequences: where blocks follow each other, each once, so that they may come to loop.

A sequence is a container, or siblings: numbered children of one module, block1 and block2, that stand in none.

A layer is named by the module whose weight it is, "stage1.0.conv1", or by another parameter of a module,
"layers.0.attention:in_proj_weight".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.parameter import is_lazy

from foldnet.errors import NothingToFold

if TYPE_CHECKING:
    from foldnet.sharing.plan import SharingPlan

NUMBER = "N"  # stands for the numbers of siblings in the name of their sequence, "blockN"
_NUMBERED = re.compile(r"(.*\D)(\d+)", re.DOTALL)
PARAMETER = ":"  # stands between a module and a parameter of it that is not called weight
# What a class may not change, if running it is to mean running its children in order.
_RUNNING = ("forward", "__call__", "_call_impl", "_wrapped_call_impl", "__iter__", "__getattr__", "__getattribute__")
_LISTING = (*_RUNNING, "__getitem__", "__len__")


def joined(*names: str) -> str:
    """Names inside each other as one; a network is called "" inside itself."""
    name = ".".join(name for name in names if name)
    return name.replace(f".{PARAMETER}", PARAMETER) if PARAMETER in name else name


def stands_in(layer: str, module: str) -> bool:
    """Whether a layer is somewhere inside a module or is itself it, by their names; everything is inside the network,
    ""."""
    return not module or layer == module or layer.startswith((f"{module}.", f"{module}{PARAMETER}"))


def holder_of(layer: str) -> str:
    """The module that holds a layer's weight."""
    return layer.partition(PARAMETER)[0]


def key_of(layer: str) -> str:
    """What the layer's weight is called in that module."""
    return layer.partition(PARAMETER)[2] or "weight"


def own_keys(layer: str) -> tuple[str, str, str]:
    """What the gain of a layer and the factors B and A of its residual are called in that module, beside its weight."""
    own = layer.partition(PARAMETER)[2]
    before = f"{own}_" if own else ""
    return f"{before}gain", f"{before}residual_left", f"{before}residual_right"


def weight_name(layer: str) -> str:
    """The qualified name of a layer's weight."""
    return joined(holder_of(layer), key_of(layer))


def runs_in_order(module: nn.Module) -> bool:
    """Whether a module does nothing but run its children in order, each once; a hook of its own would be lost in a
    loop."""
    return _is_plain(module, nn.Sequential, _RUNNING)


def lists_blocks(module: nn.Module) -> bool:
    """Whether a module does nothing but hold its children, each once, for another's forward to run."""
    return _is_plain(module, nn.ModuleList, _LISTING)


def is_sequence(module: nn.Module) -> bool:
    """Whether the children of a module may come to loop."""
    return runs_in_order(module) or lists_blocks(module)


def holds_stages(name: str, module: nn.Module, layers: list[str]) -> bool:
    """Whether a sequence is one of sequences: of its children in which `layers` stand there is but one, or each is a
    sequence and they stand in several of its blocks.
    """
    prefix = f"{name}." if name else ""
    inside = [layer.removeprefix(prefix).split(".") for layer in layers if stands_in(layer, name)]
    children = {parts[0] for parts in inside}
    return len(children) == 1 or all(is_stage(module, child, inside) for child in children)


def is_stage(module: nn.Module, child: str, inside: list[list[str]]) -> bool:
    """Whether a child is a sequence in several of whose blocks there are layers, `inside` the module, their names in
    parts."""
    blocks = {parts[1] for parts in inside if parts[0] == child and len(parts) > 1}
    return len(blocks) > 1 and is_sequence(module.get_submodule(child))


def _is_plain(module: nn.Module, kind: type[nn.Module], methods: tuple[str, ...]) -> bool:
    """Whether a module is of a kind none of whose methods were changed, without hooks, its children all different."""
    if not isinstance(module, kind) or len(list(module.named_children())) != len(module._modules):
        return False
    held = vars(module)
    plain = all(getattr(type(module), name, None) is getattr(kind, name, None) for name in methods)
    return plain and held.keys().isdisjoint(methods) and not any(held[name] for name in held if name.endswith("_hooks"))


def siblings_in(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """By "blockN" the children block1, block2, ... of a module, in the order of their numbers; what is numbered alone,
    or stands in two places, is no sibling."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name, _ in module.named_children():
        if (parts := _NUMBERED.fullmatch(name)) is not None:
            found.setdefault(f"{parts[1]}{NUMBER}", []).append((int(parts[2]), name))
    return {
        name: tuple(child for _, child in sorted(its))
        for name, its in found.items()
        if len(its) > 1 and not hasattr(module, name)
    }


def siblings_of(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """The qualified names of the siblings that a sequence is; none where it is a module."""
    holder, _, name = sequence.rpartition(".")
    if not name.endswith(NUMBER) or holder not in (modules := dict(network.named_modules())):
        return ()
    children = siblings_in(modules[holder]).get(name, ())
    return tuple(f"{holder}.{child}" if holder else child for child in children)


def sequences_of(network: nn.Module, layers: list[str]) -> tuple[str, ...]:
    """Where blocks follow each other, or one stands alone, by their names, so that each of `layers` stands in one.

    They are the sequences that the network declares, else those that `_found` finds; "" is the network itself, and
    "blockN" are siblings, children block1, block2, ... of one module. A layer
    outside of them stands in a block of its own, which comes to no loop: the largest module around it that is the
    network's child, or holds none of the sequences.

    Raises NothingToFold where a declared sequence is none.
    """
    modules = dict(network.named_modules())
    found = tuple(getattr(network, "sequences", ()))
    for name in found:
        if name not in modules or not is_sequence(modules[name]):
            raise NothingToFold(
                f"'{name}', which the network's attribute 'sequences' names, is no nn.Sequential or "
                "nn.ModuleList of blocks that each run once, in order, so it cannot come to loop; make it one"
            )
    parts = {name: (name,) for name in found} or _found("", network, layers)
    covered = [part for its in parts.values() for part in its]
    alone = {_alone(layer, parts) for layer in layers if not any(stands_in(layer, part) for part in covered)}
    begun = {its[0]: name for name, its in parts.items() if any(_with(layers, part) for part in its)}
    begun |= {name: name for name in alone}
    return tuple(begun[name] for name in modules if name in begun)


def _with(layers: list[str], name: str) -> list[str]:
    """Those of `layers` that stand in a module."""
    return [layer for layer in layers if stands_in(layer, name)]


def _found(name: str, module: nn.Module, layers: list[str]) -> dict[str, tuple[str, ...]]:
    """The outermost sequences in a module, unless one holds whole stages: then these, and what else stands in it. By
    their names the modules that are all of each: its own, or those of siblings."""
    inside = _with(layers, name)
    if not inside:
        return {}
    candidate = is_sequence(module) if name else runs_in_order(module)
    if candidate and not _gives_way(name, module, inside):
        return {name: (name,)}
    found = {} if candidate else _siblings(name, module, inside)
    taken = {part for parts in found.values() for part in parts}
    for child, part in _children(name, module):
        if child not in taken:
            found |= _found(child, part, inside)
    return found


def _siblings(name: str, module: nn.Module, layers: list[str]) -> dict[str, tuple[str, ...]]:
    """Siblings in a module two of which are made of the same parts, unless each is a stage; one layer is no block."""
    relative = [layer.removeprefix(f"{name}." if name else "").split(".") for layer in layers]
    found = {}
    for called, children in siblings_in(module).items():
        blocks = [(joined(name, child), module.get_submodule(child)) for child in children]
        stages = all(is_stage(module, child, relative) for child in children)
        if not stages and _alike(blocks, layers, blocks_alone=True):
            found[joined(name, called)] = tuple(block for block, _ in blocks)
    return found


def _gives_way(name: str, module: nn.Module, layers: list[str]) -> bool:
    """Whether loops are to be looked for inside a sequence: each block is a stage, or no two of them are alike and a
    sequence inside them, or siblings, are blocks that are."""
    if (not name or lists_blocks(module)) and holds_stages(name, module, layers):
        return True
    return not _alike(_children(name, module), layers) and any(
        _siblings(inner, part, layers)
        if not is_sequence(part)
        else _alike(_children(inner, part), layers, blocks_alone=True)
        for inner, part in ((joined(name, path), part) for path, part in module.named_modules() if path)
    )


def _children(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children of a module, which is called `name`, with their names."""
    return [(joined(name, child), part) for child, part in module.named_children()]


def _alike(parts: list[tuple[str, nn.Module]], layers: list[str], *, blocks_alone: bool = False) -> bool:
    """Whether two of some modules with `layers` in them are made of the same parts; with `blocks_alone` a layer alone
    does not count."""
    known: set[object] = set()
    for name, part in parts:
        if _with(layers, name):
            made = _made_of(part)
            if made in known and (len(made) > 1 or not blocks_alone):
                return True
            known.add(made)
    return False


def _made_of(module: nn.Module) -> tuple[object, ...]:
    """The classes and shapes of a module's parts: equal of blocks that may come to loop, which folding proves."""
    return tuple(
        (path, type(part), *(None if is_lazy(one) else tuple(one.shape) for one in part.parameters(recurse=False)))
        for path, part in module.named_modules()
    )


def _alone(layer: str, found: Collection[str]) -> str:
    """The largest module around a layer, other than the network, that holds no sequence; at the least the layer."""
    parts = holder_of(layer).split(".")
    places = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return next((place for place in places if not any(stands_in(name, place) for name in found)), holder_of(layer))


def block_names(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """Qualified names of the blocks of one sequence, in order; its own where it is a block that stands alone."""
    if siblings := siblings_of(network, sequence):
        return siblings
    if not is_sequence(network.get_submodule(sequence)):
        return (sequence,)
    return tuple(joined(sequence, name) for name, _ in network.get_submodule(sequence).named_children())


def parts_of(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """The names of the modules that are all of a sequence: its own, or those of siblings."""
    return siblings_of(network, sequence) or (sequence,)


def places_of(network: nn.Module, layers: list[str]) -> dict[str, tuple[str, int, str]]:
    """Where layers stand in blocks that follow each other: the sequence, the number of the first block in it that is
    made of the same parts, and the layer's path inside of the block. A layer outside of sequences has no place."""
    found: dict[str, tuple[str, int, str]] = {}
    for sequence in sequences_of(network, layers):
        kinds: dict[object, int] = {}
        blocks = block_names(network, sequence)
        for number, block in enumerate(blocks if blocks != (sequence,) else ()):
            kind = kinds.setdefault(_made_of(network.get_submodule(block)), number)
            for layer in _with(layers, block):
                path = layer.removeprefix(block).removeprefix(".").removeprefix(PARAMETER)
                found.setdefault(layer, (sequence, kind, path))
    return found


def positions(network: nn.Module, plan: SharingPlan) -> dict[str, tuple[tuple[int, ...], ...]]:
    """By group, the rows of its layers that stand at one place of successive blocks, such as all conv1: one tuple a
    place. A layer outside the sequences has a place of its own."""
    sequences: dict[str, tuple[str, ...]] = {name: (name,) for name in getattr(network, "sequences", ())}
    if not sequences:
        layers = [layer for group in plan.groups for layer in group.layers]
        found = ((name, siblings_of(network, name)) for name in sequences_of(network, layers))
        sequences = {
            name: siblings or (name,)
            for name, siblings in found
            if siblings or is_sequence(network.get_submodule(name))
        }
    return _positions(plan, tuple(sequences.items()))


@lru_cache(maxsize=64)  # asked in every training step
def _positions(
    plan: SharingPlan, sequences: tuple[tuple[str, tuple[str, ...]], ...]
) -> dict[str, tuple[tuple[int, ...], ...]]:
    """The same for known sequences, each with the modules that are all of it."""
    found = {}
    for group in plan.groups:
        places: dict[tuple[str, str], list[int]] = {}
        for row, layer in enumerate(group.layers):
            within = ((name, part) for name, parts in sequences for part in parts if stands_in(layer, part))
            sequence, part = next(within, (layer, layer))
            if part == sequence:  # the blocks are its children
                _, _, place = layer.removeprefix(f"{part}." if part else "").replace(":", ".:").partition(".")
            else:
                place = layer.removeprefix(part)
            places.setdefault((sequence, place), []).append(row)
        found[group.name] = tuple(tuple(rows) for rows in places.values())
    return found
