"""A network as torch.export takes it: written out, each owner once, the blocks of its loops between marks."""

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldnet.folding.looped import LoopedNetwork
from foldnet.program.data import Stage
from foldnet.sharing.sequences import joined
from foldnet.sharing.share import materialise
from foldnet.sharing.tied import use

MARK, DOMAIN = "Mark", "foldnet"  # of the nodes that torch.onnx writes of them
Usage = tuple[Tensor, tuple[Tensor, ...]]  # an owner, and the gain and residual by which a layer uses it


class Unrolled(nn.Module):
    """A looped network whose forward pass walks its blocks one by one. Owners and what layers use them by are
    parameters of this module, the rest is `network`'s.

    Shapes: as those of the network that was folded.
    """

    def __init__(self, network: nn.Module, usages: Mapping[str, Usage]) -> None:
        """`usages` names the parameters of `network`, None there, that are owners in use."""
        super().__init__()
        self.network = network
        self.owners, self.usages = nn.ParameterList(), nn.ParameterList()
        numbers: dict[int, int] = {}
        self.places: dict[str, tuple[int, range]] = {}
        for name, (owner, usage) in usages.items():
            if id(owner) not in numbers:
                numbers[id(owner)] = len(self.owners)
                self.owners.append(nn.Parameter(owner.detach(), False))
            first = len(self.usages)
            self.usages.extend(nn.Parameter(one.detach().clone(), False) for one in usage)
            self.places[name] = numbers[id(owner)], range(first, len(self.usages))

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """As the network that was folded."""
        made = {
            name: use(self.owners[owner], *(self.usages[one] for one in usage))
            for name, (owner, usage) in self.places.items()
        }
        return functional_call(self.network, made, inputs, options, tie_weights=False)


def written_out(network: nn.Module, *, marked: bool = False) -> nn.Module:
    """A copy in evaluation mode without loops and banks: of a looped network its owners, with the trips found; of a
    soft or tied one its dense form.

    With `marked` the blocks of loops stand between marks, see marked_blocks: then it can be exported to ONNX, and no
    longer be run."""
    if not isinstance(network, LoopedNetwork):
        return materialise(network).eval()
    looped = copy.deepcopy(network).eval()
    looped.set_trips({})
    usages: dict[int, tuple[Tensor, Usage]] = {}

    def later(owner: Tensor, *usage: Tensor) -> Tensor:
        stands = nn.Parameter(torch.empty(0), False)
        usages[id(stands)] = stands, (owner, usage)
        return stands

    with torch.no_grad():
        plain = looped.lent_by(later)
    places: dict[str, Usage] = {}
    for path, module in plain.named_modules(remove_duplicate=False):
        for key, tensor in module._parameters.items():
            if tensor is None:
                continue
            if id(tensor) in usages:
                places[joined(path, key)] = usages[id(tensor)][1]
                module._parameters[key] = None
            elif not isinstance(tensor, nn.Parameter):  # a step's row of a stack
                module._parameters[key] = nn.Parameter(tensor.detach().clone(), False)
    marks = enumerate(block for stage in looped.program.stages for block in _marked_in(plain, stage))
    for number, block in marks if marked else ():
        vars(block)["forward"] = partial(_between_marks, block.forward, number)
    return Unrolled(plain, places)


def marked_blocks(stages: Iterable[Stage]) -> dict[str, int]:
    """The number of the first block of each stage that loops: block n stands between the marks 2n and 2n + 1."""
    found, number = {}, 0
    for stage in stages:
        if stage.loops:
            found[stage.name] = number
            number += len(stage.blocks)
    return found


def unique_bytes(network: nn.Module) -> int:
    """Bytes of a network's tensors, each memory once."""
    seen: dict[tuple[int, int], Tensor] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        seen[tensor.data_ptr(), tensor.numel()] = tensor
    return sum(tensor.numel() * tensor.element_size() for tensor in seen.values())


def _marked_in(network: nn.Module, stage: Stage) -> list[nn.Module]:
    """The blocks of a stage that loops, in their order."""
    if not stage.loops:
        return []
    if stage.siblings:
        return [network.get_submodule(block.name) for block in stage.blocks]
    return list(network.get_submodule(stage.path).children())


def _between_marks(forward: Callable[..., Any], number: int, *inputs: Any, **options: Any) -> Any:
    """What a block gives for what it is given, its first tensor and what it gives marked."""
    place = next((place for place, one in enumerate(inputs) if isinstance(one, Tensor)), None)
    if place is not None:
        inputs = (*inputs[:place], _marked(inputs[place], 2 * number), *inputs[place + 1 :])
    given = forward(*inputs, **options)
    return _marked(given, 2 * number + 1) if isinstance(given, Tensor) else given


def _marked(x: Tensor, place: int) -> Tensor:
    """What torch.onnx writes as a node of its own, with a number, behind x; whoever runs it gets nothing of x."""
    return torch.onnx.ops.symbolic(f"{DOMAIN}::{MARK}", (x,), {"place": place}, dtype=x.dtype, shape=x.shape, version=1)
