"""One block that runs many steps: what the steps share is held once, what each has of its own is stacked."""

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class SteppedBlock(nn.Module):
    """One block that runs many steps.

    What the steps share (the owners) is given from outside, once; what each step has of its own (norms, biases, gains) is
    stacked along a first dimension of length `steps`.
    """

    def __init__(self, blocks: list[nn.Module], tied: tuple[str, ...]) -> None:
        """`blocks` are the steps in their order, equal in structure; `tied` names the layers inside that use owners."""
        super().__init__()
        self.body = copy.deepcopy(blocks[0])
        self.tied = tied
        for name, parameter in list(self.body.named_parameters()):
            stacked = torch.stack([block.get_parameter(name).detach() for block in blocks])
            _replace(self.body, name, nn.Parameter(stacked, parameter.requires_grad))
        for name, _ in list(self.body.named_buffers()):
            _replace(self.body, name, torch.stack([block.get_buffer(name) for block in blocks]))
        like = next(iter(self.body.parameters()), torch.empty(0))
        for position in tied:
            gains = torch.ones(len(blocks), dtype=like.dtype, device=like.device)
            self.body.get_submodule(position).register_parameter("gain", nn.Parameter(gains))
        self._gain_of = {join(position, "weight"): join(position, "gain") for position in tied}
        self._slots = tuple(_slots(self.body, self._gain_of))

    def forward(self, x: Tensor, step: int) -> Tensor:
        """Run the step number `step`: x (n, c, h, w) -> (n, c', h', w')."""
        given: dict[str, Tensor] = {}
        for name, place, key in self._slots:  # gains stand before the weights that they scale
            tensor = place[key]
            owned = name in self._gain_of
            given[name] = tensor * given[self._gain_of[name]] if owned else tensor[step]
        return self.run_body(given, x)

    def run_body(self, given: dict[str, Tensor], x: Tensor) -> Tensor:
        """The body with one step's tensors: the same code and shapes whichever step it is, so it compiles once."""
        if torch.compiler.is_compiling():
            called: Tensor = functional_call(self.body, given, (x,), tie_weights=False)
            return called
        # The same by hand: functional_call looks every name up again, which takes longer than a small block's arithmetic.
        kept = [place[key] for _, place, key in self._slots]
        try:
            for name, place, key in self._slots:
                place[key] = given[name]
            out: Tensor = self.body(x)
        finally:
            for (_, place, key), tensor in zip(self._slots, kept, strict=True):
                place[key] = tensor
        return out

    def lengthen(self, copied: list[int]) -> None:
        """Add a step for each number in `copied`, a copy of the step that it names."""
        owned = {join(position, "weight") for position in self.tied}
        for name, parameter in list(self.body.named_parameters()):
            if name not in owned:
                longer = torch.cat([parameter.detach(), parameter.detach()[copied]])
                _replace(self.body, name, nn.Parameter(longer, parameter.requires_grad))
        for name, buffer in list(self.body.named_buffers()):
            _replace(self.body, name, torch.cat([buffer, buffer[copied]]))

    @property
    def steps(self) -> int:
        """How many steps have tensors of their own."""
        _, place, key = self._slots[0]  # a step's own tensors come before what steps share
        return len(place[key])


def join(*names: str) -> str:
    """Names of modules as one: a block that is itself a layer has the position "" inside itself."""
    return ".".join(name for name in names if name)


def _slots(body: nn.Module, last: Collection[str]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(name, where a module keeps it, under which key) for every tensor of `body`; those called `last` come last.

    The places stay the same when tensors are loaded, moved or replaced, and copies of the module have their own.
    """
    found = [
        (join(path, key), place, key)
        for path, module in body.named_modules(remove_duplicate=False)
        for place in (module._parameters, module._buffers)
        for key, tensor in place.items()
        if tensor is not None or join(path, key) in last
    ]
    yield from sorted(found, key=lambda slot: slot[0] in last)


def _replace(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Put a parameter or buffer in the place of the one called `name`."""
    path, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(path), attribute, tensor)
