"""What is legal: for each number that a user or a file may set a lower and an upper bound, written once; and of the
arguments of public functions, that they exist and are of the kind that is written there."""

import builtins
import functools
import importlib
import inspect
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from foldnet.errors import SettingError, nearest

SHOWN = 60  # characters of an illegal value that are shown


@dataclass(frozen=True, slots=True)
class Bound:
    """From `least` to `most`, or with `above` from just above `least`; `whole` numbers alone, or any but nan."""

    least: float
    most: float
    whole: bool = True
    above: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is such a number; true and false are none."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return bool(self.least <= value <= self.most) and not (self.above and value == self.least)

    def __str__(self) -> str:
        """What is legal, in words."""
        kind = "a whole number" if self.whole else "a number"
        if math.isinf(self.most):
            return f"{kind} {'above' if self.above else 'of at least'} {self.least:.10g}"
        between = f"above {self.least:.10g}, at most" if self.above else f"from {self.least:.10g} to"
        return f"{kind} {between} {self.most:.10g}"


def _number(least: float, most: float, *, above: bool = False) -> Bound:
    """A bound of any number."""
    return Bound(least, most, whole=False, above=above)


# The upper bounds are beyond all sense and below what exhausts a machine before anything can be said.
BOUNDS: dict[str, Bound] = {
    # training
    "epochs": Bound(1, 10_000),
    "batch_size": Bound(2, 65_536),
    **dict.fromkeys(("lr", "finetune_lr"), _number(0, 1000, above=True)),
    **dict.fromkeys(
        ("weight_decay", "recurrence", "step_scale", "spectral_norm", "clip", "fixed_point"), _number(0, 1000)
    ),
    **dict.fromkeys(("momentum", "progressive", "mixed_starts", "deep_supervision"), _number(0, 1)),
    "progressive_reach": _number(1, 100),
    "seed": Bound(0, 2**32 - 1),
    "validation": _number(0, 10**9),
    "image_size": Bound(4, 4096),
    "recurrence_after": Bound(0, 10_000),
    "dropout": _number(0, 0.99),
    "cutout": Bound(0, 10_000),
    "warmup": _number(0, 0.99),
    "checkpoint_every": _number(0, math.inf),
    # text
    "context": Bound(2, 4096),
    # strings
    "length": Bound(2, 65_536),
    # grids
    "grid": Bound(2, 1024),
    **dict.fromkeys(("size", "smaller", "window", "windows"), Bound(3, 1023)),
    "obstacles": _number(0, 1),
    **dict.fromkeys(("examples", "test_examples", "count"), Bound(1, 10**8)),
    "pictures": Bound(1, 1000),
    "phase": Bound(1, 10_000),
    # folding
    "threshold": _number(0, 1),
    "max_drop": _number(0, 100),
    "finetune": Bound(0, 10_000),
    "residual": Bound(0, 10_000),
    "fit": Bound(0, 1_000_000),
    # turning loops and measuring
    "steps": Bound(0, 10_000),
    **dict.fromkeys(("trips", "most"), Bound(1, 10_000)),
    "images": Bound(1, 10**9),
    **dict.fromkeys(("repeats", "rounds"), Bound(1, 10**6)),  # rounds are the `steps` of bench train
    "batch_sizes": Bound(1, 65_536),
    "threads": Bound(1, 1024),
    # networks
    **dict.fromkeys(("classes", "weight_side"), Bound(1, 10**6)),
    **dict.fromkeys(("channels", "side"), Bound(1, 4096)),
    "owners": Bound(1, 10_000),
    **dict.fromkeys(("templates", "loops", "layers", "groups"), Bound(1, 1000)),
    "weight_numbers": Bound(1, 10**12),
}


def check_number(name: str, value: Any, *, bound: Bound | None = None, field: str | None = None) -> None:
    """Raise SettingError unless `value` is legal for the setting `name`, by its own bounds or by others.

    The sentence speaks of the setting, or of a `field` of a file.
    """
    bound = bound or BOUNDS[name]
    if not bound.holds(value):
        called = f"{field} {shown(value)}" if field else as_code(name, value)
        raise SettingError(f"{called} is not legal; give {bound}")


def as_code(setting: str, value: Any) -> str:
    """A setting with its value, as Python writes it: `lr=0.1`."""
    return f"`{setting}={shown(value)!r}`" if isinstance(value, str) else f"`{setting}={shown(value)}`"


def shown(value: Any) -> str:
    """A value short enough for a sentence."""
    try:
        text = str(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    if not isinstance(value, str):  # networks and tensors are written over many lines
        text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


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
