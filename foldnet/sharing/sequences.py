"""Sequences: where blocks follow each other, each once, so that they may come to loop."""

from functools import lru_cache

from torch import nn

from foldnet.errors import NothingToFold
from foldnet.sharing.in_order import holds_stages, is_sequence, joined, lists_blocks, runs_in_order, stands_in
from foldnet.sharing.plan import SharingPlan


def sequences_of(network: nn.Module, layers: list[str]) -> tuple[str, ...]:
    """The sequences of blocks in which `layers` stand, by their names: those that the network declares, else its
    outermost nn.Sequential and nn.ModuleList; "" is the network itself.

    Raises NothingToFold for a shared layer outside them: a loop needs blocks that follow each other, each once.
    """
    modules = dict(network.named_modules())
    declared = tuple(getattr(network, "sequences", ()))
    for name in declared:
        if name not in modules or not is_sequence(modules[name]):
            raise NothingToFold(
                f"'{name}', which the network's attribute 'sequences' names, is no nn.Sequential or "
                "nn.ModuleList of blocks that "
                f"each run once, in order, so it cannot come to loop; make it one"
            )
    if not declared:
        declared = _outermost(modules, layers, inner=True)
        if not _cover(declared, layers):
            declared = _outermost(modules, layers, inner=False)
    for layer in layers:
        if not any(stands_in(layer, name) for name in declared):
            raise _outside(layer)
    return tuple(name for name in declared if any(stands_in(layer, name) for layer in layers))


def _outermost(modules: dict[str, nn.Module], layers: list[str], *, inner: bool) -> tuple[str, ...]:
    """The sequences that stand in no other; with `inner` those that hold whole stages give way to these."""
    found: list[str] = []
    for name, module in modules.items():
        candidate = runs_in_order(module) if not name else is_sequence(module)
        if candidate and any(stands_in(layer, name) for layer in layers):
            gives_way = inner and (not name or lists_blocks(module)) and holds_stages(name, module, layers)
            if not gives_way and not any(stands_in(name, outer) for outer in found):
                found.append(name)
    return tuple(found)


def _cover(sequences: tuple[str, ...], layers: list[str]) -> bool:
    """Whether every layer stands in a sequence."""
    return all(any(stands_in(layer, name) for name in sequences) for layer in layers)


def block_names(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """Qualified names of the blocks of one sequence, in order."""
    return tuple(joined(sequence, name) for name, _ in network.get_submodule(sequence).named_children())


def positions(network: nn.Module, plan: SharingPlan) -> dict[str, tuple[tuple[int, ...], ...]]:
    """By group, the rows of its layers that stand at one place of successive blocks, such as all conv1: one tuple a
    place.

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
            sequence = next((name for name in sequences if stands_in(layer, name)), None)
            if sequence is None:
                raise _outside(layer)
            _, _, place = layer.removeprefix(f"{sequence}." if sequence else "").partition(".")
            places.setdefault((sequence, place), []).append(row)
        found[group.name] = tuple(tuple(rows) for rows in places.values())
    return found


def _outside(layer: str) -> NothingToFold:
    """What is wrong with a shared layer outside the sequences."""
    return NothingToFold(
        f"layer '{layer}' shares weights but stands in no nn.Sequential or nn.ModuleList of blocks, so it "
        "cannot come to loop; "
        f"put its blocks into one, or name the sequences in the network's attribute 'sequences'"
    )
