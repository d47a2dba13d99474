"""What is checked of the arguments of every public function: that they exist, and that they are of the kind that is
written there."""

import builtins
import functools
import importlib
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from foldnet.bounds import shown
from foldnet.errors import SettingError, nearest

Checked = TypeVar("Checked", bound=Callable[..., Any])


def checked(function: Checked) -> Checked:
    """`function`, or a class, that raises SettingError for unknown, missing and superfluous arguments and for those of
    a wrong type.

    Types are looked up when the function is first called. Of containers the container alone is checked; what cannot be
    checked, such as a protocol, is taken as it comes.
    """
    if isinstance(function, type):
        # The dataclass decorator wrote this method; the class itself must stay what it is, for isinstance and pickle.
        function.__init__ = checked(function.__init__)  # type: ignore[misc]
        return function
    signature = inspect.signature(function)
    name = function.__qualname__.removesuffix(".__init__")
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def checking(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            meant = (nearest(given, signature.parameters) for given in kwargs if given not in signature.parameters)
            raise SettingError(f"{name}() {error}{next(meant, '')}") from None
        if not hints:
            hints.update(_hints(function, signature))
        for argument, value in given.items():
            wanted = hints.get(argument, Any)
            if not _fits(value, wanted):
                said = f"{shown(value)} is of type {type(value).__name__}"
                raise SettingError(f"{name}() wants {argument} as {_words(wanted)}, and {said}")
        return function(*args, **kwargs)

    return typing.cast(Checked, checking)


class _Names(dict[str, Any]):
    """Names that annotations use. What a module imports for type checkers alone is anything but torch's layers, which
    it may do without until something is called."""

    def __missing__(self, name: str) -> Any:
        return importlib.import_module("torch.nn") if name == "nn" else Any


def _hints(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Any]:
    """The type of each argument; those of *args and **kwargs are left to the function."""
    names = _Names(vars(builtins) | getattr(function, "__globals__", {}))
    hints = typing.get_type_hints(function, names, names)
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: hints.get(name, Any) for name, kind in kinds.items() if kind not in loose}


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of a type, as far as that can be told without looking into it."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(wanted))
    kind = origin or wanted
    if kind is tuple:
        return isinstance(value, tuple | list)  # which each reader of settings turns into a tuple
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    unchecked = kind is Any or not isinstance(kind, type) or getattr(kind, "_is_protocol", False)
    return unchecked or isinstance(value, kind)


def _words(wanted: Any) -> str:
    """A type as a reader writes it."""
    if wanted is types.NoneType:
        return "None"
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return " or ".join(_words(one) for one in typing.get_args(wanted))
    if isinstance(wanted, type) and typing.get_origin(wanted) is None:
        return "Path" if issubclass(wanted, Path) else wanted.__name__
    return str(wanted).replace("collections.abc.", "").replace("typing.", "")
