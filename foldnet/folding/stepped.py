"""One block that runs many steps: what the steps share is held once, what each has of its own is stacked."""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldnet.errors import NothingToFold
from foldnet.folding.gained import gained
from foldnet.folding.owned_numbers import Numbers, own_numbers
from foldnet.sharing.lend import lend, shadowed, tensors_of, view


class SteppedBlock(nn.Module):
    """One block that runs many steps.

    What the steps share (the owners) is given from outside, once; what each step has of its own (norms, biases, gains) is
    stacked along a first dimension of length `steps`.
    """

    only_calls_layers = True
    lent: tuple[Any, ...] | None = (
        None  # of a view: what each step runs with, a module, or tensors where the body is compiled
    )

    def __init__(self, blocks: list[nn.Module], tied: tuple[str, ...], elsewhere: Collection[int] = ()) -> None:
        """`blocks` are the steps in their order, equal in structure; `tied` names the layers inside that use owners.

        Tensors and modules whose ids are in `elsewhere` stand in other places of the network too: they are kept as they are.

        Tensors of TorchScript modules cannot be stacked; raises NothingToFold where the blocks have different ones.
        """
        super().__init__()
        _check_scripts(blocks)
        self.body = copy.deepcopy(blocks[0], _standing(blocks[0], elsewhere))
        self.kept = frozenset(name for name, tensor in _tensors(self.body) if id(tensor) in elsewhere)
        self.numbers = own_numbers(blocks)
        self.tied = tied
        self.found = len(blocks)
        self.copied: tuple[int, ...] = ()  # of the steps past those found: which of them each is a copy of
        self._options: dict[str, Any] | None = None
        self._compiled: Callable[..., Any] | None = None
        for name, tensor in dict(self._stacks()).items():
            steps = [_tensor(block, name).detach() for block in blocks]
            _replace(self.body, name, torch.stack(steps), tensor)
        like = next(iter(self.body.parameters()), torch.empty(0))
        for position in tied:
            gains = torch.ones(len(blocks), dtype=like.dtype, device=like.device)
            self.body.get_submodule(position).register_parameter("gain", nn.Parameter(gains))

    def forward(self, x: Any, step: int, /, *inputs: Any, **options: Any) -> Any:
        """Run the step number `step`; x and further inputs are those of the block, and so is the output."""
        if self.lent is None:  # inside a compiled graph, where the owners stand in their layers
            owned = self._owned()
            given = {name: tensor if name in owned else tensor[step] for name, tensor in self._stacks()}
            return self.run_body(self._scaled(given), self._numbers_of(step), x, *inputs, **options)
        if self._compiled is not None:
            return self._compiled(self._scaled(self.lent[step]), self._numbers_of(step), x, *inputs, **options)
        return self.lent[step](x, *inputs, **options)

    def run_body(self, given: dict[str, Tensor], numbers: Numbers, *inputs: Any, **options: Any) -> Any:
        """The body with one step's tensors and numbers: the same code and shapes whichever step it is, so it compiles once."""
        found = {place: getattr(self.body.get_submodule(place[0]), place[1]) for place in numbers}
        for (path, name), number in numbers.items():
            setattr(self.body.get_submodule(path), name, number)
        output = functional_call(self.body, given, inputs, options, tie_weights=False)
        for (path, name), number in found.items():
            setattr(self.body.get_submodule(path), name, number)
        return output

    def compile_body(self, **options: Any) -> None:
        """torch.compile the body, once for all steps; `options` are torch.compile's."""
        self._options, self._compiled = options, torch.compile(self.run_body, **options)

    def ready(self, owners: Mapping[str, Tensor], *, either_side: bool) -> "SteppedBlock":
        """A view of this block that runs with these owners (O, I, *kernel), by the position of the layer that uses them.

        See gained for `either_side`.
        """
        slices = [
            (join(*place), place, tensor.unbind(0))
            for place, tensor in _places(self.body)
            if join(*place) not in self.kept
        ]
        if self._compiled is not None:
            weights = {join(position, "weight"): owner for position, owner in owners.items()}
            given = ({name: parts[step] for name, _, parts in slices} | weights for step in range(self.steps))
            return view(self, {}, lent=tuple(given))
        modules = dict(self.body.named_modules())
        steps = []
        for step in range(self.steps):
            own: dict[str, dict[str, Tensor]] = {path: {"weight": owner} for path, owner in owners.items()}
            for _, (path, key), parts in slices:
                own.setdefault(path, {})[key] = parts[step]
            using: dict[nn.Module, nn.Module] = {}
            for path in owners:
                layer, tensors = modules[path], own[path]
                if not either_side or "forward" in vars(layer):  # who knows what is done with the weight
                    tensors["weight"] = tensors.pop("gain") * tensors["weight"]
                else:
                    using[layer] = gained(layer, own.pop(path), either_side=either_side)
            for (path, name), number in self._numbers_of(step).items():
                using[modules[path]] = shadowed(modules[path], {name: number})
            steps.append(lend(self.body, {modules[path]: tensors for path, tensors in own.items()}, using))
        return view(self, {}, lent=tuple(steps))

    def lay_out(self, copied: tuple[int, ...]) -> None:
        """Hold the steps found and, past them, copies of those that `copied` names; copies held now stay where nothing changes."""
        if copied == self.copied:
            return
        rows = [*range(self.found), *copied]
        for name, tensor in dict(self._stacks()).items():
            _replace(self.body, name, tensor.detach()[rows], tensor)
        self.copied = copied

    @property
    def steps(self) -> int:
        """How many steps have tensors of their own."""
        return self.found + len(self.copied)

    @property
    def keeps(self) -> bool:
        """Whether what `ready` gives shows later changes of the tensors: a layer with a forward of its own has a weight made for it."""
        return all("forward" not in vars(self.body.get_submodule(position)) for position in self.tied)

    def __getstate__(self) -> dict[str, Any]:
        """A copy compiles a body of its own."""
        return {**vars(self), "_compiled": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self._options is not None:
            self.compile_body(**self._options)

    def _stacks(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors that steps have of their own, and owners where they are lent."""
        return ((name, tensor) for name, tensor in _tensors(self.body) if name not in self.kept)

    def _numbers_of(self, step: int) -> Numbers:
        """The numbers that one step has of its own; a copy has those of the step that it is a copy of."""
        rows = (*range(self.found), *self.copied)
        return {place: numbers[rows[step]] for place, numbers in self.numbers.items()}

    def _owned(self) -> dict[str, str]:
        """Weights that are owners, each with the gain that scales it."""
        return {join(position, "weight"): join(position, "gain") for position in self.tied}

    def _scaled(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step's tensors, the owners times their gains."""
        return given | {weight: given[weight] * given[gain] for weight, gain in self._owned().items()}


def join(*names: str) -> str:
    """Names of modules as one: a block that is itself a layer has the position "" inside itself."""
    return ".".join(name for name in names if name)


def _places(body: nn.Module) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """((path, key), tensor) for every parameter and buffer of `body` outside TorchScript modules, whose tensors have fixed places."""
    for path, module in body.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            for key, tensor in tensors_of(module).items():
                yield (path, key), tensor


def _tensors(body: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The same by name."""
    return ((join(*place), tensor) for place, tensor in _places(body))


def _standing(block: nn.Module, elsewhere: Collection[int]) -> dict[int, Any]:
    """For copy.deepcopy: what it shall not copy."""
    parts = [*block.modules(), *(tensor for _, tensor in _tensors(block))]
    return {id(part): part for part in parts if id(part) in elsewhere}


def _tensor(module: nn.Module, name: str) -> Tensor:
    """The parameter or buffer called `name`."""
    path, _, attribute = name.rpartition(".")
    tensor = getattr(module.get_submodule(path), attribute)
    assert isinstance(tensor, Tensor)
    return tensor


def _replace(module: nn.Module, name: str, tensor: Tensor, like: Tensor) -> None:
    """Put `tensor` in the place of the parameter or buffer `like`, which is called `name`."""
    path, _, attribute = name.rpartition(".")
    put = nn.Parameter(tensor, like.requires_grad) if isinstance(like, nn.Parameter) else tensor
    setattr(module.get_submodule(path), attribute, put)


def _check_scripts(blocks: list[nn.Module]) -> None:
    """Raise NothingToFold where blocks that are to be one body have TorchScript modules with different tensors."""
    for path, module in blocks[0].named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            for name, tensor in module.state_dict().items():
                place = join(path, name)
                if any(not torch.equal(block.state_dict()[place], tensor) for block in blocks[1:]):
                    raise NothingToFold(
                        f"blocks cannot come to loop since the tensor '{place}' of a TorchScript module differs between them; "
                        f"share the network before any part of it is scripted"
                    )
