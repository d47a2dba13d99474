"""From a network and its owners to a program: which blocks there are, and what their layers use."""

from collections.abc import Hashable, Iterator, Mapping

from torch import nn

from foldnet.folding.structures import Structures, structures_of
from foldnet.program.build import build_program
from foldnet.program.data import Program, Use
from foldnet.sharing.in_order import joined, stands_in
from foldnet.sharing.plan import ROOT, SHAREABLE, SharingPlan
from foldnet.sharing.sequences import block_names, sequences_of

Owner = tuple[str, int]  # group, index of the owner


def describe(
    network: nn.Module, plan: SharingPlan, owners: Mapping[str, Owner], structures: Structures | None = None
) -> Program:
    """The program of `network` whose layer l uses owner owners[l]; what is not in `owners` keeps its own weight.

    `structures` are those of its blocks, compared here where they are not given. Raises as structures_of does.
    """
    structures = structures or structures_of(network, plan)
    sequences = sequences_of(network, [layer for group in plan.groups for layer in group.layers])
    outside = [
        name
        for name, module in network.named_modules()
        if isinstance(module, SHAREABLE) and not any(stands_in(name, stage) for stage in sequences)
    ]
    order = [name for name, _ in network.named_modules()]
    first = order.index(sequences[0])
    stages = [(name or ROOT, list(_blocks(network, name, owners, structures))) for name in sequences]
    return build_program(
        tuple(name for name in outside if order.index(name) < first),
        stages,
        tuple(name for name in outside if order.index(name) > first),
    )


def _blocks(
    network: nn.Module, sequence: str, owners: Mapping[str, Owner], structures: Structures
) -> Iterator[tuple[str, Hashable, tuple[Use, ...]]]:
    """(name, structure, uses) of every block of a sequence."""
    for name in block_names(network, sequence):
        block = network.get_submodule(name)
        uses = []
        for position, module in block.named_modules():
            if isinstance(module, SHAREABLE):
                layer = joined(name, position)
                group, owner = owners.get(layer, (None, None))
                uses.append(Use(layer, position, group, owner))
        yield name, structures.numbers[name], tuple(uses)
