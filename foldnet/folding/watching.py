"""A pass of a network in which blocks are watched: in which order they run, what each is given, and what the network
does between them."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

BEFORE, OUTPUT, INPUT, BETWEEN, INSIDE = "before", "output", "input", "between", "inside"


class Source(NamedTuple):
    """Where a tensor comes from: from `before` the blocks ran, or from a `call` of a block, as its output or input, as
    what was made `inside`, or of an `operation` `between` it and the next call; `place` numbers those of one kind."""

    kind: str
    call: int
    place: int
    operation: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """An operation, or the call of a block: what it is, the structure of its arguments, and these, tensors as where
    they come from."""

    name: str
    structure: object
    given: tuple[From | Plain, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its tensors come from."""
        return tuple(one.source for one in self.given if isinstance(one, From))

    def relative_to(self, call: int) -> Done:
        """The same, calls counted from one of them on."""
        return Done(self.name, self.structure, tuple(_relative(one, call) for one in self.given))


@dataclass(frozen=True, slots=True)
class From:
    """A tensor that something is given."""

    source: Source


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """Anything else: equal to what is of its type and value, or itself where values may not be asked."""

    value: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plain) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or (isinstance(self.value, _COMPARED) and bool(self.value == other.value))

    __hash__ = None  # type: ignore[assignment]


_COMPARED = (bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.layout, torch.memory_format)


@dataclass(slots=True)
class Watched:
    """A pass: which block each call was of, what it was given, what was done after it and before the next, and where
    the tensors come from that the network gave."""

    order: list[int] = field(default_factory=list)
    calls: list[Done] = field(default_factory=list)
    after: list[list[Done]] = field(default_factory=list)
    given_back: tuple[Source, ...] = ()


def _relative(one: From | Plain, call: int) -> From | Plain:
    """Of one argument."""
    if isinstance(one, Plain) or one.source.kind == BEFORE:
        return one
    return From(one.source._replace(call=one.source.call - call))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes a pass down. What a block does inside is its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = Watched()
        self.inside = 0
        self._known: dict[int, tuple[weakref.ref[Tensor], Source]] = {}
        self._before: list[Tensor] = []  # kept, since an id means something only while its object lives

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        done = None if self.inside or not self.seen.order else self._done(str(function), (args, kwargs or {}))
        out = function(*args, **(kwargs or {}))
        call = len(self.seen.order) - 1
        if call >= 0:
            made = len(self.seen.after[call])
            kind = INSIDE if self.inside else BETWEEN
            for place, one in enumerate(_tensors(out)):
                self._note(one, Source(kind, call, place, made))
        if done is not None:
            self.seen.after[call].append(done)
        return out

    def before(self, index: int, args: Any, options: Any) -> None:
        """A block is called."""
        if not self.inside:
            call = self._done("", (args, options))
            self.seen.order.append(index)
            self.seen.calls.append(call)
            self.seen.after.append([])
            for number, one in enumerate(_tensors((args, options))):
                self._note(one, Source(INPUT, len(self.seen.order) - 1, number))
        self.inside += 1

    def behind(self, output: Any) -> None:
        """It has run."""
        self.inside -= 1
        if not self.inside:
            for number, one in enumerate(_tensors(output)):
                self._note(one, Source(OUTPUT, len(self.seen.order) - 1, number))

    def end(self, output: Any) -> None:
        """The network has."""
        self.seen.given_back = tuple(self._source(one) for one in _tensors(output))

    def _done(self, name: str, values: Any) -> Done:
        leaves, structure = tree_flatten(values)
        given = (From(self._source(x)) if isinstance(x, Tensor) else Plain(x) for x in leaves)
        return Done(name, structure, tuple(given))

    def _note(self, tensor: Tensor, source: Source) -> None:
        self._known[id(tensor)] = weakref.ref(tensor), source

    def _source(self, tensor: Tensor) -> Source:
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]
        number = next((number for number, one in enumerate(self._before) if one is tensor), len(self._before))
        if number == len(self._before):
            self._before.append(tensor)
        return Source(BEFORE, 0, number)


def _tensors(values: Any) -> list[Tensor]:
    """Those in a nest, in order."""
    return [one for one in tree_flatten(values)[0] if isinstance(one, Tensor)]


@torch.no_grad()
def watched_pass(
    network: nn.Module, blocks: Sequence[str], positional: tuple[Any, ...], options: Mapping[str, Any] | None = None
) -> Watched:
    """One pass of a network, on copies of it and of what it is called with, in evaluation mode; blocks, by their names,
    are counted as they are given."""
    network = copy.deepcopy(network).eval()
    positional, options = copy.deepcopy((positional, options or {}))
    watch, hooks = _Watch(), []
    for number, name in enumerate(blocks):
        module = network.get_submodule(name)

        def before(module: nn.Module, args: Any, options: Any, number: int = number) -> None:
            watch.before(number, args, options)

        def behind(module: nn.Module, args: Any, output: Any) -> None:
            watch.behind(output)

        hooks += [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(behind, always_call=True),
        ]
    try:
        with torch.random.fork_rng([]), watch:
            watch.end(network(*positional, **options))
    finally:
        for hook in hooks:
            hook.remove()
    return watch.seen


@torch.no_grad()
def called_one_by_one(
    network: nn.Module,
    containers: Mapping[str, Sequence[str]],
    positional: tuple[Any, ...],
    options: Mapping[str, Any] | None = None,
) -> set[str]:
    """Those of some containers, by their names, of whose blocks one runs in a pass while the container itself does not;
    on copies, in evaluation mode."""
    network = copy.deepcopy(network).eval()
    positional, options = copy.deepcopy((positional, options or {}))
    found: set[str] = set()
    inside = dict.fromkeys(containers, 0)

    def entering(name: str, change: int) -> Callable[..., None]:
        def run(*given: Any) -> None:
            inside[name] += change

        return run

    def meeting(name: str) -> Callable[..., None]:
        def run(*given: Any) -> None:
            if not inside[name]:
                found.add(name)

        return run

    for name, blocks in containers.items():
        container = network.get_submodule(name)
        container.register_forward_pre_hook(entering(name, 1))
        container.register_forward_hook(entering(name, -1), always_call=True)
        for block in blocks:
            network.get_submodule(block).register_forward_pre_hook(meeting(name))
    with torch.random.fork_rng([]):
        network(*positional, **options)
    return found
