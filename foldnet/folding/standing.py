"""What of a network stands in several places: a loop must not part it from its twins by copying or stacking it."""

from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from foldnet.sharing.lend import tensors_of


def in_several_places(network: nn.Module, blocks: Mapping[str, nn.Module]) -> frozenset[int]:
    """Ids of the modules and tensors that stand in more than one block, or in a block and outside of the blocks, and of
    the tensors that are registered twice. `blocks` are by their names.
    """
    block_of = {id(block): name for name, block in blocks.items()}
    homes: dict[int, set[str]] = {}
    seen: set[tuple[int, str]] = set()

    def walk(module: nn.Module, home: str) -> None:
        if (id(module), home) in seen or isinstance(module, torch.jit.ScriptModule):
            return
        seen.add((id(module), home))
        for part in (module, *tensors_of(module).values()):
            homes.setdefault(id(part), set()).add(home)
        for child in module._modules.values():
            if child is not None:
                walk(child, block_of.get(id(child), home))

    walk(network, "")
    plain = (module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule))
    registered = Counter(id(tensor) for module in plain for tensor in tensors_of(module).values())
    several = {key for key, found in homes.items() if len(found) > 1}
    return frozenset(several | {key for key, count in registered.items() if count > 1})
