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
from contextlib import suppress
from enum import Enum
from functools import partial
from itertools import chain, starmap
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from foldnet.sharing.lend import slots_of
from foldnet.sharing.reached import HOLDERS, MISSING, contents

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


class Comparison:
    """Compares the plain values of two blocks. Whatever can change is compared as a pair: what is one object here is
    one there.

    `modules` are pairs of submodules, and `tensors` registered ones, that are compared by themselves.
    """

    def __init__(self, modules: Iterable[tuple[nn.Module, nn.Module]] = (), tensors: Iterable[Tensor] = ()) -> None:
        self._partner: dict[int, object] = {}  # objects, since an id means something only while its object lives
        self._reverse: dict[int, object] = {}
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
        if kind in (float, complex):  # what is not a number is itself, and 0 is not -0
            return None if repr(one) == repr(other) else _both(one, other)
        if issubclass(kind, nn.Module):
            known = not self._out_of_reach and self._modules.get(id(one)) is other
            return None if known else "a module that is reached in another way than as a submodule"
        if kind in (types.BuiltinFunctionType, types.MethodType):
            return self._methods(one, other)
        if kind is types.FunctionType:
            return self._functions(one, other)
        if kind is partial:
            return self._parts(_named(one, other, "func", "args", "keywords", "__dict__"))
        if kind is np.ndarray or issubclass(kind, np.generic):
            if one.dtype.hasobject or other.dtype.hasobject:
                return "an array of objects cannot be compared"
            same = one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
            return None if same else "arrays of other values"
        if kind is frozenset:
            return _sets(one, other)
        return self._objects(one, other) if issubclass(kind, tuple) else self._changeable(one, other)

    def _changeable(self, one: Any, other: Any) -> str | None:
        """Two values that can change, so that it matters where else they are."""
        if id(one) in self._partner or id(other) in self._reverse:
            paired = self._partner.get(id(one)) is other and self._reverse.get(id(other)) is one
            return None if paired else "one object in two places of one block, and two objects in the other"
        self._partner[id(one)], self._reverse[id(other)] = other, one
        if type(one) is types.CellType:
            return self._parts([("", contents(one), contents(other))])
        if type(one) is set:
            return _sets(one, other)
        return self._tensors(one, other) if issubclass(type(one), Tensor) else self._objects(one, other)

    def _parts(self, parts: Iterable[tuple[str, Any, Any]], *, within_reach: bool = True) -> str | None:
        """The first difference between named parts. A view of a block does not look for modules in what is not within
        its reach, or does so for closures without knowing all that they do."""
        self._out_of_reach += not within_reach
        reason = next(filter(None, starmap(self._part, parts)), None)
        self._out_of_reach -= not within_reach
        return reason

    def _part(self, name: str, one: Any, other: Any) -> str | None:
        """The difference between two parts of one name."""
        if one is MISSING or other is MISSING:
            return None if one is other else f"{name} in one alone"
        reason = self._compare(one, other)
        return f"{name}: {reason}" if name and reason is not None else reason

    def _functions(self, one: types.FunctionType, other: types.FunctionType) -> str | None:
        """By code, defaults and what they close over; a copy of a block would still call what a closure holds."""
        module = sys.modules.get(one.__module__)
        if one is other and module is not None and vars(module).get(one.__qualname__) is one:
            return None  # what its module calls by its name
        if one.__code__ != other.__code__ or one.__globals__ is not other.__globals__:
            return _both(one, other)
        parts = _named(one, other, "__defaults__", "__kwdefaults__", "__closure__", "__dict__")
        return self._parts(parts, within_reach=False)

    def _methods(self, one: Any, other: Any) -> str | None:
        """A function and the object that it is bound to, if any."""
        if type(one) is types.MethodType:
            return self._parts([("", one.__func__, other.__func__), ("", one.__self__, other.__self__)])
        if one.__name__ != other.__name__:
            return _both(one, other)
        return self._parts([("", one.__self__, other.__self__)], within_reach=False)

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
        parts = paired(attributes(one), attributes(other)) if kind is not base else ()
        if base in _CONTENTS:
            held, theirs = (list(_CONTENTS[base](value)) for value in (one, other))
            if len(held) != len(theirs):
                return f"{len(held)} and {len(theirs)} entries"
            parts = chain(((f"[{index}]", *both) for index, both in enumerate(zip(held, theirs, strict=True))), parts)
        return self._parts(parts, within_reach=kind in HOLDERS)


def attributes(value: object) -> dict[str, Any]:
    """What an object of a Python class keeps in its __dict__ and its slots."""
    found: dict[str, Any] = {}
    with suppress(AttributeError):
        found.update(object.__getattribute__(value, "__dict__"))
    for name, slot in slots_of(type(value)):
        with suppress(AttributeError):  # of a slot that was never filled
            found[name] = slot.__get__(value)
    return found


def paired(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    """(name, value, value) for every name that either has."""
    return ((name, one.get(name, MISSING), other.get(name, MISSING)) for name in {**one, **other})


def is_open(kind: type, base: type = object) -> bool:
    """Whether all that instances of a class hold can be seen: no field of C beside those of `base`, no slot left
    out."""
    if type(kind) not in _METACLASSES:
        return False
    if base.__itemsize__:  # numbers, tuples, text: Python gives their subclasses a __dict__ and no slots
        return True
    slots = len(slots_of(kind)) - len(slots_of(base))
    where = ("__dictoffset__", "__weakrefoffset__")  # at most 0 where these are not among the fields
    added = slots + sum((getattr(kind, name) > 0) - (getattr(base, name) > 0) for name in where)
    return kind.__basicsize__ == base.__basicsize__ + 8 * added and not kind.__itemsize__


def show(value: Any) -> str:
    """A value in a few words, without calling anything of it."""
    if type(value) in _ATOMS or type(value) in (float, complex):
        text = repr(value)
    elif issubclass(type(value), Tensor):
        text = f"a tensor of {str(value.dtype).removeprefix('torch.')} {'x'.join(map(str, value.shape)) or 'scalar'}"
    elif isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        text = value.__qualname__
    elif issubclass(type(value), Enum):
        text = f"{type(value).__name__}.{value._name_}"
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 3]}..."


def _named(one: Any, other: Any, *names: str) -> Iterable[tuple[str, Any, Any]]:
    """The attributes of these names."""
    return ((name, getattr(one, name), getattr(other, name)) for name in names)


def _both(one: object, other: object) -> str:
    """Two values that differ."""
    first, second = show(one), show(other)
    return f"{first} and {second}" if first != second else f"{first} and another"


def _bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, so that what is not a number equals itself and 0 is not -0."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.is_complex():
        plain = torch.view_as_real(plain)
    return plain.contiguous().reshape(-1).view(torch.uint8)


def _sets(one: set[Any] | frozenset[Any], other: set[Any] | frozenset[Any]) -> str | None:
    """Sets of text and numbers; 1 is not True, and in which order others would be met nobody can say."""
    if not all(type(entry) in _ATOMS for entry in (*one, *other)):
        return "a set of other things than text and whole numbers cannot be compared"
    first, second = ({(type(entry), entry) for entry in entries} for entries in (one, other))
    return None if first == second else _both(one, other)
