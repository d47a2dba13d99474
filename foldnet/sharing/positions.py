"""Layers that stand at one place of successive blocks."""

from functools import lru_cache

from torch import nn

from foldnet.sharing.plan import SharingPlan
from foldnet.sharing.sequences import is_sequence, sequences_of, stands_in
from foldnet.sharing.siblings import siblings_of


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
