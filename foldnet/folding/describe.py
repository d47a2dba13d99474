"""From a network and its owners to a program: which blocks there are, and what their layers use."""

from collections.abc import Iterator, Mapping

from torch import nn

from foldnet.folding.program import Program, Use
from foldnet.folding.program_build import build_program
from foldnet.sharing.plan import SHAREABLE, SharingPlan
from foldnet.sharing.sequences import block_names, sequences_of

Owner = tuple[str, int]  # group, index of the owner


def describe(network: nn.Module, plan: SharingPlan, owners: Mapping[str, Owner]) -> Program:
    """The program of `network` whose layer l uses owner owners[l]; what is not in `owners` keeps its own weight."""
    sequences = sequences_of(network, [layer for group in plan.groups for layer in group.layers])
    outside = [
        name
        for name, module in network.named_modules()
        if isinstance(module, SHAREABLE) and not name.startswith(tuple(f"{stage}." for stage in sequences))
    ]
    order = [name for name, _ in network.named_modules()]
    first = order.index(sequences[0])
    stages = [(name, list(_blocks(network, name, owners))) for name in sequences]
    return build_program(
        tuple(name for name in outside if order.index(name) < first),
        stages,
        tuple(name for name in outside if order.index(name) > first),
    )


def structure_of(block: nn.Module) -> str:
    """What two blocks must have in common to be one body: modules, widths, strides and shortcut, but no weights.

    Plain attributes count too: a block that keeps its own scale or activation function computes something of its own.
    """
    return f"{block!r} {[_attributes_of(module) for module in block.modules()]}"


def _attributes_of(module: nn.Module) -> list[tuple[str, object]]:
    """Shapes of the tensors that a module holds itself, a shareable weight aside, and its public attributes."""
    tensors = [
        (name, None if tensor is None else tuple(tensor.shape))
        for name, tensor in (*module._parameters.items(), *module._buffers.items())
        if not (name == "weight" and isinstance(module, SHAREABLE))
    ]
    plain = [(name, value) for name, value in vars(module).items() if not name.startswith("_") and name != "training"]
    return sorted(tensors + plain, key=lambda entry: entry[0])


def _blocks(
    network: nn.Module, sequence: str, owners: Mapping[str, Owner]
) -> Iterator[tuple[str, str, tuple[Use, ...]]]:
    """(name, structure, uses) of every block of a sequence."""
    for name in block_names(network, sequence):
        block = network.get_submodule(name)
        uses = []
        for position, module in block.named_modules():
            if isinstance(module, SHAREABLE):
                layer = f"{name}.{position}" if position else name
                group, owner = owners.get(layer, (None, None))
                uses.append(Use(layer, position, group, owner))
        yield name, structure_of(block), tuple(uses)
