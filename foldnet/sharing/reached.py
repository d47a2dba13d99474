"""Modules that are reached by plain attributes: where they may stand, and the same values with others in their
place."""

from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from operator import is_
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import nn

# Where modules are looked for besides among children, and what of these can be written to.
HOLDERS = (MethodType, FunctionType, partial, list, tuple, dict, OrderedDict, deque)
WRITTEN = (list, dict, OrderedDict, deque)
MISSING = object()  # what is not there


def holds(value: Any, apart: Container[nn.Module], seen: tuple[int, ...] = ()) -> bool:
    """Whether one of these modules stands in a value."""
    if isinstance(value, nn.Module):
        return value in apart
    if type(value) not in HOLDERS or id(value) in seen:
        return False
    return any(holds(part, apart, (*seen, id(value))) for part in inside(value))


def replaced(value: Any, stands: Mapping[nn.Module, nn.Module], rebuilt: dict[int, Any]) -> Any:
    """`value` with what stands for the modules in it; itself where there are none. What is one object stays one."""
    if isinstance(value, nn.Module):
        return stands.get(value, value)
    if type(value) not in HOLDERS:
        return value
    if id(value) not in rebuilt:
        rebuilt[id(value)] = value, value  # of a container that holds itself
        other = _rebuild(value, lambda part: replaced(part, stands, rebuilt)) if holds(value, stands) else value
        rebuilt[id(value)] = value, other
    return rebuilt[id(value)][1]


def same_contents(one: Any, other: Any) -> bool:
    """Whether two containers hold the same objects."""
    return len(one) == len(other) and all(map(is_, inside(one), inside(other)))


def write(container: Any, contents: Any) -> None:
    """Give a container these contents."""
    container.clear()
    container.update(contents) if isinstance(container, dict) else container.extend(contents)


def inside(value: Any) -> Iterable[Any]:
    """What a holder holds."""
    if type(value) is MethodType:
        return (value.__self__,)
    if type(value) is FunctionType:
        defaults = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
        return (*defaults, *map(contents, value.__closure__ or ()))
    if type(value) is partial:
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    return tuple(value)


def _rebuild(value: Any, other: Callable[[Any], Any]) -> Any:
    """A holder of the same kind that holds others."""
    if type(value) is MethodType:
        return MethodType(value.__func__, other(value.__self__))
    if type(value) is FunctionType:
        cells = tuple(
            cell if (found := other(held := contents(cell))) is held else CellType(found)
            for cell in value.__closure__ or ()
        )
        defaults = value.__defaults__ and tuple(map(other, value.__defaults__))
        function = FunctionType(value.__code__, value.__globals__, value.__name__, defaults, cells)
        function.__kwdefaults__ = value.__kwdefaults__ and {k: other(v) for k, v in value.__kwdefaults__.items()}
        vars(function).update(vars(value))
        return function
    if type(value) is partial:
        made = partial(other(value.func), *map(other, value.args), **{k: other(v) for k, v in value.keywords.items()})
        vars(made).update(vars(value))
        return made
    if isinstance(value, dict):
        return type(value)((other(key), other(part)) for key, part in value.items())
    return deque(map(other, value), value.maxlen) if isinstance(value, deque) else type(value)(map(other, value))


def contents(cell: CellType) -> Any:
    """What is in a cell, MISSING in one that is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
