"""One block that runs many steps: what the steps share is held once, what each has of its own is stacked."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import BrokenPromise, NothingToFold
from foldnet.folding.equality import own_numbers
from foldnet.folding.memory import stackable
from foldnet.folding.parts import bare, follow, pairs, shown, snapshots, without_tensors
from foldnet.sharing.lend import HOOKS, tensors_of, view
from foldnet.sharing.sequences import holder_of, joined, key_of, own_keys
from foldnet.sharing.tied import residual_shapes

Tensors = dict[str, Tensor]


class SteppedBlock(nn.Module):
    """One block that runs many steps.

    What the steps share (the owners) is given from outside, once; what each step has of its own (norms, biases, gains,
    residuals) is stacked along a first dimension of length `steps`, in `body`. A step runs as the block that it was,
    its part: the module itself, its tensors taken off and lent back for a pass. So whatever a block's forward asks of
    its module or writes to it is the step's own.
    """

    only_calls_layers = True
    parts: nn.ModuleList  # one for each step, not registered: what they have is in the body

    def __init__(self, blocks: list[nn.Module], tied: tuple[str, ...], elsewhere: Collection[int] = ()) -> None:
        """Takes over `blocks`, the steps in their order, equal in structure; `tied` names the layers inside that use
        owners.

        Tensors and modules whose ids are in `elsewhere` stand in other places of the network too: they are kept as they
        are.

        Tensors of TorchScript modules cannot be stacked; raises NothingToFold where the blocks have different ones.
        """
        super().__init__()
        _check_scripts(blocks)
        self.body = bare(blocks[0], elsewhere, tensors=True)
        self.kept = frozenset(name for name, tensor in stackable(self.body) if id(tensor) in elsewhere)
        self.tied = tied
        self.found = len(blocks)
        self.copied: tuple[int, ...] = ()  # of the steps past those found: which of them each is a copy of
        self._options: dict[str, Any] | None = None
        self.compiled: Any = None  # what runs a part by the compiled body
        held = [dict(stackable(block)) for block in blocks]
        for name, tensor in self._stacks().items():
            _replace(self.body, name, _stacked([tensors[name].detach() for tensors in held]), tensor)
        like = next((one for one in self.body.parameters() if one.is_floating_point()), torch.empty(0))
        for position in tied:
            gains = torch.ones(len(blocks), dtype=like.dtype, device=like.device)
            self.body.get_submodule(holder_of(position)).register_parameter(own_keys(position)[0], nn.Parameter(gains))
        for block in blocks:
            without_tensors(block, elsewhere)
        self._hold(blocks)

    def _hold(self, parts: list[nn.Module]) -> None:
        """Let these be the steps' parts. What is changed of the body from now on, they follow."""
        object.__setattr__(self, "parts", nn.ModuleList(parts))
        for _, module, twins in pairs(self.body, parts):
            for twin in twins:
                vars(twin).update((name, vars(module)[name]) for name in HOOKS)
        self._seen = snapshots(self.body, parts)

    def add_residuals(self, position: str, rank: int, shape: tuple[int, ...]) -> None:
        """Let each step add a matrix of that rank, 0 for now, to the owner (O, I, *kernel) that the layer at a position
        uses."""
        holder, keys = self.body.get_submodule(holder_of(position)), own_keys(position)
        for key, size in zip(keys[1:], residual_shapes(rank, shape), strict=True):
            zeros = holder.get_parameter(keys[0]).new_zeros((self.found, *size))
            holder.register_parameter(key, nn.Parameter(zeros))

    def follow(self) -> None:
        """Let the parts have what was changed of the body since: modes, options, other submodules."""
        follow(self._seen)

    def shown(self) -> AbstractContextManager[None]:
        """Passes, after which the body has the attributes that its last step has come to have."""
        return shown(self._seen)

    def train(self, mode: bool = True) -> "SteppedBlock":
        """As that of every module; the parts follow."""
        super().train(mode)
        self.follow()
        return self

    def entry(self, step: int) -> nn.Module:
        """What runs a step: its part, or where the body is compiled a view of it that runs the compiled body."""
        part: nn.Module = self.parts[step]
        if self.compiled is None:
            return part
        numbers = own_numbers(list(self.parts)).items()  # a copy of a step has those of the step
        return running(part, partial(self.compiled, part, tuple((place, its[step]) for place, its in numbers)))

    def compile_body(self, **options: Any) -> None:
        """torch.compile the body, once for all steps; `options` are torch.compile's."""
        self._options, self.compiled = options, torch.compile(_run, **options)

    def given(
        self, owners: Mapping[str, Tensor]
    ) -> Iterator[tuple[str, nn.Module, dict[str, Tensor], dict[str, tuple[Tensor, ...]]]]:
        """(its place in `parts`, module, what it is lent, how it uses each weight that is an owner) for each step's
        modules: by gain (), or with gain (), B (O, r) and A (r, I * kernel).

        `owners` are (O, I, *kernel) each, by the position of the layer in the block; layers are lent them as they are.
        """
        for path, module, parts in pairs(self.body, list(self.parts)):
            held = {
                key: (tensor,) * len(parts) if joined(path, key) in self.kept else tensor.unbind(0)
                for key, tensor in tensors_of(module).items()
            }
            tied = [position for position in self.tied if holder_of(position) == path]
            uses = {key_of(position): [held.pop(key) for key in own_keys(position) if key in held] for position in tied}
            held |= {key_of(position): (owners[position],) * len(parts) for position in tied if position in owners}
            for step, part in enumerate(parts):
                own = {key: its[step] for key, its in held.items()}
                usages = {key: tuple(its[step] for its in stacks) for key, stacks in uses.items()}
                yield joined(str(step), path), part, own, usages

    def put(self, module: nn.Module, name: str, tensor: Any) -> bool:
        """Keep what a pass assigned to a buffer of a step; False where `module` is in none of the parts.

        Raises BrokenPromise for what cannot be kept: a parameter, or a buffer of another shape or precision than other
        steps have.
        """
        for path, held, parts in pairs(self.body, list(self.parts)):
            if module not in parts:
                continue
            place, stack = joined(path, name), held._buffers.get(name)
            alone = len(parts) == 1 and tensor is None
            if name in module._parameters or place in self.kept or not (alone or isinstance(tensor, Tensor)):
                raise BrokenPromise(_lost(module, place, "no buffer that steps have of their own"))
            if len(parts) == 1:
                held._buffers[name], module._buffers[name] = None if tensor is None else tensor.detach()[None], None
                return True
            if stack is None or (tensor.shape, tensor.dtype) != (stack.shape[1:], stack.dtype):
                raise BrokenPromise(_lost(module, place, "of another shape or precision than before"))
            # Anew, not where it lies: what the pass saved for its gradient may be the old one.
            rows = list(stack.unbind(0))
            rows[parts.index(module)] = tensor.detach()
            held._buffers[name] = torch.stack(rows)
            return True
        return False

    def lay_out(self, copied: tuple[int, ...]) -> None:
        """Hold the steps found and, past them, copies of those that `copied` names; copies held now stay where nothing
        changes."""
        if copied == self.copied:
            return
        rows = [*range(self.found), *copied]
        for name, tensor in self._stacks().items():
            _replace(self.body, name, tensor.detach()[rows], tensor)
        self.copied = copied
        self.follow()
        found = [*self.parts][: self.found]
        self._hold([*found, *(bare(found[row]) for row in copied)])

    def __getstate__(self) -> dict[str, Any]:
        """A copy compiles a body of its own; what was changed of the body is compared by identity, which a file does
        not keep."""
        self.follow()
        return {**vars(self), "compiled": None, "_seen": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._seen = snapshots(self.body, list(self.parts))
        if self._options is not None:
            self.compile_body(**self._options)

    def _stacks(self) -> dict[str, Tensor]:
        """The tensors that steps have of their own."""
        return {name: tensor for name, tensor in stackable(self.body) if name not in self.kept}


def _stacked(tensors: list[Tensor]) -> Tensor:
    """Tensors of one shape, along a new first dimension."""
    first = tensors[0]
    if first.is_meta:  # to stack such, torch loads its compilers and sympy, 900 modules, which takes a second
        return first.new_empty((len(tensors), *first.shape))
    return torch.stack(tensors)


def running(module: nn.Module, forward: Any) -> nn.Module:
    """What looks like `module`, and runs `forward`, which runs its hooks."""
    other = view(module, {})
    vars(other)["forward"] = forward
    vars(other).update((name, type(vars(module)[name])()) for name in HOOKS)
    return other


def _run(module: nn.Module, numbers: tuple[tuple[tuple[str, str], float], ...], *inputs: Any, **options: Any) -> Any:
    """A view of a step's part with its numbers: the same code and shapes whichever step it is, so it compiles once."""
    for (path, name), number in numbers:
        setattr(module.get_submodule(path), name, number)
    return module(*inputs, **options)


def _lost(module: nn.Module, place: str, why: str) -> str:
    """Why what a pass wrote cannot be kept."""
    return (
        f"a forward pass assigned '{place}' of a block that loops, a {type(module).__name__}, and it is {why}, so it "
        "would be lost; keep the layers of such blocks out of the fold, or let them write into the tensor that is there"
    )


def _replace(module: nn.Module, name: str, tensor: Tensor, like: Tensor) -> None:
    """Put `tensor` in the place of the parameter or buffer `like`, which is called `name`."""
    path, _, attribute = name.rpartition(".")
    put = nn.Parameter(tensor, False) if isinstance(like, nn.Parameter) else tensor
    setattr(module.get_submodule(path), attribute, put.requires_grad_(like.requires_grad))


def _check_scripts(blocks: list[nn.Module]) -> None:
    """Raise NothingToFold where blocks that are to be one body have TorchScript modules with different tensors."""
    for path, module in blocks[0].named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            for name, tensor in module.state_dict().items():
                place = joined(path, name)
                if any(not torch.equal(block.state_dict()[place], tensor) for block in blocks[1:]):
                    raise NothingToFold(
                        f"blocks cannot come to loop since the tensor '{place}' of a TorchScript module differs "
                        "between them; share the network before any part of it is scripted"
                    )
