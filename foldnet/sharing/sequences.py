"""Sequences: where blocks follow each other, each once, so that they may come to loop."""

from functools import lru_cache

from torch import nn

from foldnet.errors import NothingToFold
from foldnet.sharing.plan import SharingPlan

# What a class may not change, if running it is to mean running its children in order.
_RUNNING = ("forward", "__call__", "_call_impl", "_wrapped_call_impl", "__iter__", "__getattr__", "__getattribute__")


def sequences_of(network: nn.Module, layers: list[str]) -> tuple[str, ...]:
    """The sequences of blocks in which `layers` stand: those that the network declares, else its outermost nn.Sequential.

    Raises NothingToFold for a shared layer outside them: a loop needs blocks that follow each other, each once.
    """
    modules = dict(network.named_modules())
    declared = tuple(getattr(network, "sequences", ()))
    for name in declared:
        if name not in modules or not _is_sequence(modules[name]):
            raise NothingToFold(
                f"'{name}', which the network's attribute 'sequences' names, is no nn.Sequential of blocks that each run "
                f"once, in order, so it cannot come to loop; make it one"
            )
    if not declared:
        found = [name for name, module in modules.items() if name and _is_sequence(module)]
        declared = tuple(name for name in found if not any(name.startswith(f"{outer}.") for outer in found))
    for layer in layers:
        if not layer.startswith(tuple(f"{name}." for name in declared)):
            raise _outside(layer)
    return tuple(name for name in declared if any(layer.startswith(f"{name}.") for layer in layers))


def block_names(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """Qualified names of the blocks of one sequence, in order."""
    return tuple(f"{sequence}.{name}" for name, _ in network.get_submodule(sequence).named_children())


def positions(network: nn.Module, plan: SharingPlan) -> dict[str, tuple[tuple[int, ...], ...]]:
    """By group, the rows of its layers that stand at one place of successive blocks, such as all conv1: one tuple a place.

    Raises NothingToFold for a shared layer outside the sequences.
    """
    layers = [layer for group in plan.groups for layer in group.layers]
    declared = tuple(getattr(network, "sequences", ()))
    return _positions(plan, declared or sequences_of(network, layers))


@lru_cache(maxsize=64)  # asked in every training step
def _positions(plan: SharingPlan, sequences: tuple[str, ...]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """The same for known sequences."""
    found = {}
    for group in plan.groups:
        places: dict[tuple[str, str], list[int]] = {}
        for row, layer in enumerate(group.layers):
            sequence = next((name for name in sequences if layer.startswith(f"{name}.")), None)
            if sequence is None:
                raise _outside(layer)
            _, _, place = layer.removeprefix(f"{sequence}.").partition(".")
            places.setdefault((sequence, place), []).append(row)
        found[group.name] = tuple(tuple(rows) for rows in places.values())
    return found


def _is_sequence(module: nn.Module) -> bool:
    """Whether a module does nothing but run its children in order, each once; a hook of its own would be lost in a loop."""
    plain = isinstance(module, nn.Sequential) and all(
        getattr(type(module), name, None) is getattr(nn.Sequential, name, None) for name in _RUNNING
    )
    touched = any(name in vars(module) for name in _RUNNING) or any(
        held for name, held in vars(module).items() if name.endswith("_hooks")
    )
    return plain and not touched and len(list(module.named_children())) == len(module._modules)


def _outside(layer: str) -> NothingToFold:
    """What is wrong with a shared layer outside the sequences."""
    return NothingToFold(
        f"layer '{layer}' shares weights but stands in no nn.Sequential of blocks, so it cannot come to loop; "
        f"put its blocks into one, or name the sequences in the network's attribute 'sequences'"
    )
