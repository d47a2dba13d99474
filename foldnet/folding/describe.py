"""From a network and its owners to a program: which blocks there are, and what their layers use."""

from collections.abc import Iterator, Mapping

from torch import nn

from foldnet.errors import NothingToFold
from foldnet.folding.program import Program, Use
from foldnet.folding.program_build import build_program
from foldnet.sharing.plan import SHAREABLE, SharingPlan

Owner = tuple[str, int]  # group, index of the owner


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
            raise NothingToFold(
                f"layer '{layer}' shares weights but stands in no nn.Sequential of blocks, so it cannot come to loop; "
                f"put its blocks into one, or name the sequences in the network's attribute 'sequences'"
            )
    return tuple(name for name in declared if any(layer.startswith(f"{name}.") for layer in layers))


def block_names(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """Qualified names of the blocks of one sequence, in order."""
    return tuple(f"{sequence}.{name}" for name, _ in network.get_submodule(sequence).named_children())


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


def _is_sequence(module: nn.Module) -> bool:
    """Whether a module does nothing but run its children in order, each once."""
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    return plain and len(list(module.named_children())) == len(module._modules)


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
