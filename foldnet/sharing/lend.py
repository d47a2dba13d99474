"""Lending tensors to a module for one call: a view of it runs, and nothing of the module itself changes while it does.

A view is a new object of the module's own class. Its attributes are those of the module, but for the parameters,
buffers and children that it is lent. So any number of calls may run at once, each with its own tensors. Putting tensors
into the module and taking them out again, as torch.func.functional_call does, would let one call see those of another.
What a pass writes to a view is taken back to the module behind it when the pass is over.

How this may fail: hooks are handed the view, which is not the module that they were put on. Besides its children, a
view knows the modules and bound methods that stand in plain attributes, lists, tuples, dictionaries, partials and
closures of a module; one that is held elsewhere, such as in an object of a class of one's own, is reached without what
is lent, and fails for want of it.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from operator import call, is_
from types import MemberDescriptorType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from foldnet.errors import BrokenPromise, SettingError
from foldnet.sharing.reached import HOLDERS, WRITTEN, holds, replaced, same_contents, write

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")
Put = Callable[[nn.Module, str, Any], bool]

_HEAP_TYPE = 1 << 9  # of a class written in Python
_PLAIN = frozenset({int, float, bool, str, type(None)})
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
HOOKS = tuple(sorted(name for name in _OF_EVERY_MODULE if "_hooks" in name))
DICTIONARIES = ("_parameters", "_buffers", "_modules")
_OF_TENSORS = (1, 2)  # of what _held gives


@dataclass(frozen=True, slots=True)
class View:
    """A view, the module behind it, the names of the tensors that it was lent, and what it held then."""

    source: nn.Module
    seen: nn.Module
    lent: frozenset[str]
    before: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Lent:
    """What computes as a module would with other tensors; `views` has a view of every module that is not itself any
    more, `rebuilt` every container of modules: as it was, as views see it, and a copy of the latter."""

    module: Any
    views: Mapping[nn.Module, View]
    rebuilt: tuple[tuple[Any, Any, Any], ...]

    def passes(self, put: Put, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> Iterator[Any]:
        """One pass. What it wrote is then the modules' own; `put` is asked first about a parameter or buffer of theirs,
        and says whether it has kept it elsewhere. Raises BrokenPromise where what was written takes the place of a
        tensor that was lent.
        """
        try:
            out = self.module(*inputs, **options)
        finally:
            undisturbed(self._take_back)(put)
        yield out

    def _take_back(self, put: Put) -> None:
        """What was assigned to views, for the modules behind them."""
        changed = [view for view in self.views.values() if not all(map(same, _held(view.seen), view.before))]
        written = [entry for entry in self.rebuilt if not same_contents(entry[1], entry[2])]
        if not changed and not written:
            return
        behind: dict[nn.Module, nn.Module] = {view.seen: source for source, view in self.views.items()}
        back: dict[int, Any] = {id(seen): (seen, original) for original, seen, _ in self.rebuilt}
        for original, seen, _ in written:
            write(original, replaced(seen.copy(), behind, back))
        for view in changed:
            _take(view, put, behind, back)


def lend(
    module: nn.Module,
    tensors: Mapping[nn.Module, Mapping[str, Any]],
    instead: Mapping[nn.Module, nn.Module],
    also: Iterable[nn.Module] = (),
) -> Lent:
    """What computes as `module` would if those of its submodules which are keys had these tensors, or were these
    others.

    A submodule that is reached in several ways is replaced in each; `also` are more that may be reached. Where nothing
    is lent the module itself runs.
    """
    parts: dict[nn.Module, None] = {}
    for root in (module, *also):
        _gather(root, instead, parts)
    holders = {part: found for part in parts if (found := dict(_holders(part)))}
    apart: set[nn.Module] = {part for part, given in tensors.items() if given} | set(instead)
    grown = -1
    while grown != len(apart):  # who has a child, or holds a module, that is another one
        grown = len(apart)
        for part in parts:
            if part not in apart and (
                any(child in apart for child in part._modules.values())
                or any(holds(value, apart) for value in holders.get(part, {}).values())
            ):
                apart.add(part)
    stands: dict[nn.Module, nn.Module] = {part: view(part, tensors.get(part, {})) for part in parts if part in apart}
    seen = dict(stands)
    stands |= {one: stands.get(other, other) for one, other in instead.items()}
    rebuilt: dict[int, Any] = {}
    for part, its in seen.items():
        held = vars(its)
        if any(child in stands for child in part._modules.values()):
            held["_modules"] = {name: stands.get(child, child) for name, child in part._modules.items()}  # type: ignore[arg-type]
        for name, value in holders.get(part, {}).items():
            held[name] = replaced(value, stands, rebuilt)
    views = {
        part: View(part, its, frozenset(tensors.get(part, ())), tuple(map(dict, _held(its))))
        for part, its in seen.items()
    }
    containers = tuple((a, b, b.copy()) for a, b in rebuilt.values() if a is not b and type(b) in WRITTEN)
    return Lent(stands.get(module, module), views, containers)


def view(module: M, tensors: Mapping[str, Any]) -> M:
    """A view of `module` with these parameters and buffers; other names are plain attributes of the view's own.

    Raises SettingError for a module that is another builtin object too, such as a dictionary.
    """
    kind = type(module)
    try:
        seen: M = object.__new__(kind)
    except TypeError:
        builtin = next(base for base in kind.__mro__ if not base.__flags__ & _HEAP_TYPE).__name__
        raise SettingError(
            f"a {kind.__name__} is a module and a {builtin}, for which nothing can stand; let it hold a {builtin}"
        ) from None
    held = vars(seen)
    held.update(vars(module))
    for name, _ in _slots_of(kind):  # type: ignore[arg-type]
        if hasattr(module, name):
            object.__setattr__(seen, name, getattr(module, name))
    held["_parameters"], held["_buffers"] = dict(module._parameters), dict(module._buffers)
    held["_modules"] = dict(module._modules)
    held["_compiled_call_impl"] = None  # what nn.Module.compile made of the module itself does not know what is lent
    for name, tensor in tensors.items():
        if name in held:  # a replica of nn.DataParallel has its parameters as plain attributes
            held[name] = tensor
        else:
            held["_buffers" if name in module._buffers else "_parameters"][name] = tensor
    return seen


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers that a module holds itself, those of a replica of nn.DataParallel too."""
    held = {**module._parameters, **vars(module).get("_former_parameters", {}), **module._buffers}
    return {name: tensor for name, tensor in held.items() if tensor is not None}


def undisturbed(function: Callable[..., T]) -> Callable[..., T]:
    """A function that torch.compile, when what it compiles calls it, leaves alone."""
    return partial(_uncompiled(), function) if "torch._dynamo" in sys.modules else function


@cache
def _uncompiled() -> Callable[..., Any]:
    """What calls a function so. Made once, since it takes longer than a block's pass; not at import, for it loads the
    compiler."""
    called: Callable[..., Any] = torch.compiler.disable(call)  # type: ignore[no-untyped-call]
    return called


def nowhere(module: nn.Module, name: str, tensor: Any) -> bool:
    """Of a network without any other place for what a pass writes."""
    return False


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two dictionaries hold the same objects under the same names, in one order."""
    return len(one) == len(other) and all(map(is_, one.values(), other.values())) and all(map(is_, one, other))


def _gather(module: nn.Module, instead: Mapping[nn.Module, nn.Module], parts: dict[nn.Module, None]) -> None:
    """A module and all below it, what stands for others in their place, children first."""
    module = instead.get(module, module)
    if module in parts or isinstance(module, torch.jit.ScriptModule):
        return
    for child in module._modules.values():
        if child is not None:
            _gather(child, instead, parts)
    parts[module] = None


def _holders(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Plain attributes in which modules may stand. A convolution has seven that are tuples or lists of numbers: looking
    into them in every pass took a fifth of the time of a small network at batch 1."""
    for name, value in vars(module).items():
        if name not in _OF_EVERY_MODULE and (type(value) in HOLDERS or isinstance(value, nn.Module)):
            if type(value) in (tuple, list) and _PLAIN.issuperset(map(type, value)):
                continue
            yield name, value


def _held(module: nn.Module) -> tuple[dict[str, Any], ...]:
    """The attributes of a module, and its parameters, buffers and children."""
    held = vars(module)
    return held, held["_parameters"], held["_buffers"], held["_modules"]


def _take(view: View, put: Put, behind: Mapping[nn.Module, nn.Module], back: dict[int, Any]) -> None:
    """Give the module behind a view what was assigned to the view."""
    targets = _held(view.source)
    for place, (now, before, target) in enumerate(zip(_held(view.seen), view.before, targets, strict=True)):
        for name in {**before, **now}:
            if name in DICTIONARIES or (name in now and name in before and now[name] is before[name]):
                continue
            if name not in now:
                target.pop(name, None)
            elif place in _OF_TENSORS and put(view.source, name, now[name]):
                continue
            elif place in _OF_TENSORS and name in view.lent:
                raise BrokenPromise(
                    f"a forward pass assigned '{name}' of a {type(view.source).__name__}, which is made anew for every "
                    "pass, so it would be lost; keep that layer out of sharing"
                )
            else:
                target[name] = replaced(now[name], behind, back)


def slots_of(kind: type) -> tuple[tuple[str, MemberDescriptorType], ...]:
    """The slots of a class and of those that it is made of."""
    named = chain.from_iterable(vars(cls).items() for cls in kind.__mro__)
    return tuple((name, slot) for name, slot in named if type(slot) is MemberDescriptorType)


_slots_of = cache(slots_of)  # of modules, which are asked in every pass
