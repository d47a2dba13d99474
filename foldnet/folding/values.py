"""Whether two plain Python values are proven equal: compared by value where all of their state can be seen, else
different.

Nothing of a value is called, not even its own __eq__ or __repr__: an array's answer is no truth value, and what a class
says of itself proves nothing.
"""

import logging
import pathlib
import re
import sys
import types
from abc import ABCMeta
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from foldnet.sharing.reached import HOLDERS

# Values of these exact types are equal where == says so.
_ATOMS = (
    types.NoneType, bool, int, str, bytes, range, types.EllipsisType, re.Pattern, pathlib.PosixPath,
    pathlib.PurePosixPath, torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size,
)  # fmt: skip
# Values of these types are equal where they are one object. A logger computes nothing.
_SINGLE = (
    type, types.ModuleType, types.MethodDescriptorType, types.WrapperDescriptorType, Enum, np.ufunc, logging.Logger,
)  # fmt: skip
# Builtin types of which a class may be made: what they hold, as plain parts.
_CONTENTS: Mapping[type, Callable[[Any], Iterable[Any]]] = {
    defaultdict: lambda value: (value.default_factory, *dict.items(value)),
    OrderedDict: OrderedDict.items,
    dict: dict.items,
    list: list.__iter__,
    tuple: tuple.__iter__,
    deque: lambda value: (value.maxlen, *deque.__iter__(value)),
    str: lambda value: (str.__str__(value),),
    bytes: lambda value: (bytes(memoryview(value)),),
    int: lambda value: (int.__index__(value),),
    float: lambda value: (float.hex(value),),
}
_METACLASSES = (type, ABCMeta, type(Protocol))
_TEXT = 40  # characters of a value that are shown
MISSING = object()  # an attribute that one of two has


class Comparison:
    """Compares the plain values of two blocks. Whatever can change is compared as a pair: what is one object here is
    one there.

    `modules` are pairs of submodules, and `tensors` registered ones, that are compared by themselves.
    """

    def __init__(self, modules: Iterable[tuple[nn.Module, nn.Module]] = (), tensors: Iterable[Tensor] = ()) -> None:
        self._partner: dict[int, int] = {}
        self._reverse: dict[int, int] = {}
        self._alive: list[object] = []  # an id means something only while its object lives
        self._modules = {id(one): other for one, other in modules}
        self._registered = {id(tensor) for tensor in tensors}
        self._out_of_reach = 0  # how many values we are inside of in which a view does not look for modules

    def why_different(self, one: object, other: object) -> str | None:
        """Why two values are not proven equal, such as "0.5 and 2.0"; None where they are."""
        try:
            return self._compare(one, other)
        except RecursionError:
            return "nested too deeply to be compared"

    def _compare(self, one: Any, other: Any) -> str | None:
        kind = type(one)
        if kind is not type(other):
            return _both(one, other)
        if kind is object or issubclass(kind, _SINGLE):
            return None if one is other else _both(one, other)
        if kind in _ATOMS:
            return None if one == other else _both(one, other)
        if kind is float:
            return None if float.hex(one) == float.hex(other) else _both(one, other)
        if kind is complex:
            return self._compare((one.real, one.imag), (other.real, other.imag)) and _both(one, other)
        if issubclass(kind, nn.Module):
            known = not self._out_of_reach and self._modules.get(id(one)) is other
            return None if known else "a module that is reached in another way than as a submodule"
        if kind in (types.BuiltinFunctionType, types.MethodType):
            return self._methods(one, other)
        if kind is types.FunctionType:
            return self._functions(one, other)
        if kind is partial:
            parts = ("func", "args", "keywords", "__dict__")
            return self._parts((name, getattr(one, name), getattr(other, name)) for name in parts)
        if kind is np.ndarray or issubclass(kind, np.generic):
            return _arrays(one, other)
        if kind is frozenset:
            return _sets(one, other)
        return self._objects(one, other) if issubclass(kind, tuple) else self._changeable(one, other)

    def _changeable(self, one: Any, other: Any) -> str | None:
        """Two values that can change, so that it matters where else they are."""
        known = self._partner.get(id(one)), self._reverse.get(id(other))
        if known != (None, None):
            paired = known == (id(other), id(one))
            return None if paired else "one object in two places of one block, and two objects in the other"
        self._partner[id(one)], self._reverse[id(other)] = id(other), id(one)
        self._alive += [one, other]
        if type(one) is types.CellType:
            return self._parts([("", _cell_contents(one), _cell_contents(other))])
        if type(one) is set:
            return _sets(one, other)
        return self._tensors(one, other) if issubclass(type(one), Tensor) else self._objects(one, other)

    def _parts(self, parts: Iterable[tuple[str, Any, Any]]) -> str | None:
        """The first difference between named parts."""
        for name, one, other in parts:
            if one is MISSING or other is MISSING:
                if one is not other:
                    return f"{name} in one alone"
            elif (reason := self._compare(one, other)) is not None:
                return f"{name}: {reason}" if name else reason
        return None

    def _sequence(self, one: Iterable[Any], other: Iterable[Any]) -> str | None:
        """What two values hold, in order."""
        first, second = list(one), list(other)
        if len(first) != len(second):
            return f"{len(first)} and {len(second)} entries"
        return self._parts((f"[{index}]", a, b) for index, (a, b) in enumerate(zip(first, second, strict=True)))

    def _functions(self, one: types.FunctionType, other: types.FunctionType) -> str | None:
        """By code, defaults and what they close over; a copy of a block would still call what a closure holds."""
        if one is other and _is_global(one):
            return None
        if one.__code__ != other.__code__ or one.__globals__ is not other.__globals__:
            return _both(one, other)
        parts = ("__defaults__", "__kwdefaults__", "__closure__", "__dict__")
        return self._beyond_reach((name, getattr(one, name), getattr(other, name)) for name in parts)

    def _beyond_reach(self, parts: Iterable[tuple[str, Any, Any]]) -> str | None:
        """Parts in which a view of a block does not look for modules, or does so for closures without knowing all that
        they do."""
        self._out_of_reach += 1
        reason = self._parts(parts)
        self._out_of_reach -= 1
        return reason

    def _methods(self, one: Any, other: Any) -> str | None:
        """A function and the object that it is bound to, if any."""
        if type(one) is types.MethodType:
            return self._parts([("", one.__func__, other.__func__), ("", one.__self__, other.__self__)])
        if one.__name__ != other.__name__:
            return _both(one, other)
        return self._beyond_reach([("", one.__self__, other.__self__)])

    def _tensors(self, one: Tensor, other: Tensor) -> str | None:
        """Constants: tensors that no module has registered."""
        if self._registered & {id(one), id(other)}:
            return "a registered tensor that is reached in another way"
        if one.requires_grad or other.requires_grad:
            return "a tensor that is trained and is no parameter of its module"
        plain = all(type(t) is Tensor and t.layout == torch.strided and not t.is_meta for t in (one, other))
        if not plain or one.is_quantized or other.is_quantized:
            return f"a {type(one).__name__} cannot be compared"
        if (one.dtype, one.shape, one.device) != (other.dtype, other.shape, other.device):
            return _both(one, other)
        try:
            same = torch.equal(_bits(one), _bits(other))
        except RuntimeError:
            return f"a tensor of {one.dtype} cannot be compared"
        return self._compare(vars(one), vars(other)) if same else "tensors of other values"

    def _objects(self, one: object, other: object) -> str | None:
        """An object of a class written in Python: what its builtin base holds, its attributes and its slots."""
        kind = type(one)
        base = next((base for base in _CONTENTS if issubclass(kind, base)), object)
        if kind is not base and not is_open(kind, base):
            return f"a {kind.__name__} cannot be compared"
        self._out_of_reach += kind not in HOLDERS
        reason = None
        if base in _CONTENTS:
            reason = self._sequence(_CONTENTS[base](one), _CONTENTS[base](other))
        if reason is None and kind is not base:
            reason = self._parts(paired(attributes(one), attributes(other)))
        self._out_of_reach -= kind not in HOLDERS
        return reason


def attributes(value: object) -> dict[str, Any]:
    """What an object of a Python class keeps in its __dict__ and its slots."""
    try:
        found: dict[str, Any] = dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        found = {}
    for cls in type(value).__mro__:
        for name, slot in vars(cls).items():
            if type(slot) is types.MemberDescriptorType:
                try:
                    found[name] = slot.__get__(value)
                except AttributeError:
                    continue  # a slot that was never filled
    return found


def paired(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    """(name, value, value) for every name that either has."""
    for name in {**one, **other}:
        yield name, one.get(name, MISSING), other.get(name, MISSING)


def is_open(kind: type, base: type = object) -> bool:
    """Whether all that instances of a class hold can be seen: no field of C beside those of `base`, no slot left
    out."""
    if type(kind) not in _METACLASSES:
        return False
    if base.__itemsize__:  # numbers, tuples, text: Python gives their subclasses a __dict__ and no slots
        return True
    slots = sum(type(slot) is types.MemberDescriptorType for cls in kind.__mro__ for slot in vars(cls).values())
    slots -= sum(type(slot) is types.MemberDescriptorType for cls in base.__mro__ for slot in vars(cls).values())
    added = slots + sum((_offset(kind, name) > 0) - (_offset(base, name) > 0) for name in ("dict", "weakref"))
    return kind.__basicsize__ == base.__basicsize__ + 8 * added and not kind.__itemsize__


def show(value: object) -> str:
    """A value in a few words, without calling anything of it."""
    if type(value) in _ATOMS or type(value) in (float, complex):
        text = repr(value)
    elif issubclass(type(value), Tensor):
        assert isinstance(value, Tensor)
        text = f"a tensor of {str(value.dtype).removeprefix('torch.')} {'x'.join(map(str, value.shape)) or 'scalar'}"
    elif isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        text = value.__qualname__
    elif issubclass(type(value), Enum):
        assert isinstance(value, Enum)
        text = f"{type(value).__name__}.{value._name_}"
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 3]}..."


def _both(one: object, other: object) -> str:
    """Two values that differ."""
    first, second = show(one), show(other)
    return f"{first} and {second}" if first != second else f"{first} and another"


def _offset(kind: type, name: str) -> int:
    """Where instances keep their __dict__ or weak references; at most 0 where not among their fields."""
    return int(getattr(kind, f"__{name}offset__"))


def _is_global(function: types.FunctionType) -> bool:
    """Whether a function is what its module calls by its name."""
    module = sys.modules.get(function.__module__)
    return vars(module).get(function.__qualname__) is function if module is not None else False


def _cell_contents(cell: types.CellType) -> object:
    """What is in a cell; an empty one is missing."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, so that what is not a number equals itself and 0 is not -0."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.is_complex():
        plain = torch.view_as_real(plain)
    return plain.contiguous().reshape(-1).view(torch.uint8)


def _arrays(one: Any, other: Any) -> str | None:
    """NumPy arrays and numbers."""
    if one.dtype.hasobject or other.dtype.hasobject:
        return "an array of objects cannot be compared"
    same = one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return None if same else "arrays of other values"


def _sets(one: set[Any] | frozenset[Any], other: set[Any] | frozenset[Any]) -> str | None:
    """Sets of text and numbers; 1 is not True, and in which order others would be met nobody can say."""
    if not all(type(entry) in _ATOMS for entry in (*one, *other)):
        return "a set of other things than text and whole numbers cannot be compared"
    first, second = ({(type(entry), entry) for entry in entries} for entries in (one, other))
    return None if first == second else _both(one, other)
