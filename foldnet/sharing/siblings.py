"""Siblings: blocks that stand in no container, numbered children of one module such as block1 and block2."""

import re

from torch import nn

NUMBER = "N"  # stands for the numbers of siblings in the name of their sequence, "blockN"
_NUMBERED = re.compile(r"(.*\D)(\d+)", re.DOTALL)


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
