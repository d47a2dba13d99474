"""Which blocks of a network may be merged, and what keeps the others apart."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from foldnet.errors import check_known
from foldnet.folding.equality import Difference, attribute_names, differences
from foldnet.folding.memory import homes_of, in_other_tensors, stackable
from foldnet.program.data import Program, Stage, Use
from foldnet.program.loops import UnlabelledBlock, build_program
from foldnet.sharing.plan import ROOT, SharingPlan, layers_of
from foldnet.sharing.sequences import block_names, joined, parts_of, runs_in_order, sequences_of, stands_in

# Why loops run as often as they were found.
SIBLINGS = "the network's own forward calls its blocks by their names, {} and {}, and no others"
UNSHOWN = "the network's own forward runs its blocks, and was not watched; fold it with `inputs`"


@dataclass(frozen=True, slots=True)
class KeptApart:
    """Why two blocks of a sequence cannot be one body, whatever their weights: an attribute, and how it differs."""

    sequence: str
    attribute: str
    blocks: tuple[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class Structures:
    """The structure of every block, by its name: blocks of one number may be merged. `sequences` has the blocks of each
    sequence, `kept_apart` says why some may not be merged."""

    sequences: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, int]
    kept_apart: tuple[KeptApart, ...]


def structures_of(network: nn.Module, plan: SharingPlan, ignore: Collection[str] = ()) -> Structures:
    """Compare the blocks of the sequences in which the plan's layers stand.

    Raises UnknownName where no block has an attribute that is to be ignored, NothingToFold as sequences_of does.
    """
    shared = {layer: group.name for group in plan.groups for layer in group.layers}
    sequences = {name: block_names(network, name) for name in sequences_of(network, list(shared))}
    blocks = {name: network.get_submodule(name) for names in sequences.values() for name in names}
    known = set().union(*map(attribute_names, blocks.values()))
    said = "`ignore` names '{}', which is no attribute of any block".format
    check_known(ignore, known, said, "; give one that kept blocks apart, as a fold without it says")
    entangled = _entangled(network, blocks)
    numbers: dict[str, int] = {}
    kept_apart: list[KeptApart] = []
    for sequence, names in sequences.items():
        firsts: list[str] = []  # the first block of every structure
        for name in names:
            for first in firsts if name not in entangled else ():
                if first not in entangled and next(differences(blocks[first], blocks[name], ignore), None) is None:
                    numbers[name] = numbers[first]
                    break
            else:
                numbers[name] = len(set(numbers.values()))
                if (near := _near(name, firsts, blocks, shared)) is not None:
                    found = [entangled[block] for block in (near, name) if block in entangled]
                    found += differences(blocks[near], blocks[name], ignore)
                    kept_apart += (KeptApart(sequence or ROOT, d.attribute, (near, name), d.reason) for d in found)
                firsts.append(name)
    return Structures(sequences, numbers, tuple(kept_apart))


def _entangled(network: nn.Module, blocks: Mapping[str, nn.Module]) -> dict[str, Difference]:
    """The blocks one of whose tensors stands elsewhere in the network too, such as a norm that all blocks use, or is
    reached otherwise."""
    homes, several = homes_of(network, blocks), in_other_tensors(network)
    found: dict[str, Difference] = {}
    for name, block in blocks.items():
        for place, tensor in stackable(block):
            twin = next((joined(*other) for other in homes[id(tensor)].items() if other[0] != name), None)
            if twin is not None:
                found.setdefault(name, Difference(place, f"the same tensor as {twin}"))
        for place, tensor in stackable(block):
            if id(tensor) in several:
                found.setdefault(name, Difference(place, "its memory is reached in another way too"))
    return found


def _near(name: str, firsts: list[str], blocks: Mapping[str, nn.Module], shared: Mapping[str, str]) -> str | None:
    """The last of `firsts` that a block might be merged with if they were equal: all their layers share, at the same
    places."""

    def kind(block: str) -> object:
        uses = [(path, shared.get(joined(block, path))) for path in layers_in(block, blocks[block], shared)]
        return uses or type(blocks[block])  # blocks without weights are all possible

    wanted = kind(name)
    if isinstance(wanted, list) and any(group is None for _, group in wanted):
        return None
    return next((first for first in reversed(firsts) if kind(first) == wanted), None)


def describe(
    network: nn.Module, plan: SharingPlan, clusters: Mapping[str, Sequence[Sequence[int]]], structures: Structures
) -> Program:
    """The program of `network` whose groups are tied by `clusters`, each a partition of its group's layers;
    `structures` are those of its blocks. Layers in no group keep their own weights."""
    owners = {
        group.layers[row]: (group.name, owner)
        for group in plan.groups
        for owner, cluster in enumerate(clusters[group.name])
        for row in cluster
    }
    parts = [part for name in structures.sequences for part in parts_of(network, name)]
    layers = set(layers_of(network, owners))
    order = [  # the layers outside of the sequences, around the first of these
        name
        for name, _ in network.named_modules()
        if name == parts[0] or (name in layers and not any(stands_in(name, part) for part in parts))
    ]
    first = order.index(parts[0])

    def described(name: str) -> UnlabelledBlock:
        places = {place: joined(name, place) for place in layers_in(name, network.get_submodule(name), owners)}
        uses = [Use(layer, place, *owners.get(layer, (None, None))) for place, layer in places.items()]
        return name, structures.numbers[name], uses

    stages = [(name or ROOT, list(map(described, blocks))) for name, blocks in structures.sequences.items()]
    program = build_program(order[:first], stages, order[first + 1 :])
    return replace(program, stages=tuple(replace(stage, fixed=_fixed(network, stage)) for stage in program.stages))


def _fixed(network: nn.Module, stage: Stage) -> str:
    """Why the loops of a stage run as often as they were found, as far as the network's modules say."""
    if stage.siblings:
        return SIBLINGS.format(*(f"'{block.name}'" for block in stage.blocks[:2]))
    if stage.alone or runs_in_order(network.get_submodule(stage.path)):
        return ""
    return UNSHOWN


def layers_in(name: str, block: nn.Module, shared: Collection[str]) -> list[str]:
    """The names in a block, which is called `name`, of its layers, those that are `shared` in the network too; "" is
    the block itself."""
    own = [layer.removeprefix(name).removeprefix(".") for layer in shared if stands_in(layer, name)]
    return layers_of(block, own)
