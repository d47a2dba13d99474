"""Settings as data: a frozen dataclass whose fields carry help, bounds and choices, from which checks and command lines
are made.

    epochs: Annotated[int, Option("All phases together.")] = 200

Whole numbers and numbers have the bounds that foldnet/bounds.py has under the field's name.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from foldnet.bounds import Bound, as_code, check_number
from foldnet.errors import SettingError, either, nearest

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Option:
    """What a field is to whoever sets it. `choices` are the words that are legal, `before` cuts what is compared with
    them.

    `flag` is its name on the command line where that is not the field's; None there leaves it out.
    """

    help: str = ""
    choices: tuple[str, ...] = ()
    before: str | None = None
    flag: str | None = ""
    suggested: tuple[str, ...] = ()  # values that are offered for completion, of many more
    bound: Bound | None = None  # of a number whose name has none in BOUNDS, or another


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its type without None, whether None is legal, its default, and its Option."""

    name: str
    type: Any
    optional: bool
    default: Any
    option: Option


def fields_of(settings: type) -> Mapping[str, Field]:
    """The fields of a dataclass that have an Option, in order."""
    return _fields_of(settings)


@cache  # a study asks for each of its trials
def _fields_of(settings: Any) -> Mapping[str, Field]:
    """The same, read once."""
    hints = typing.get_type_hints(settings, include_extras=True)
    found = {}
    for entry in fields(settings):
        hint = hints[entry.name]
        option = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Option)), None)
        if option is None:
            continue
        kind, optional = typing.get_args(hint)[0], False
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            kinds = [one for one in typing.get_args(kind) if one is not types.NoneType]
            kind, optional = kinds[0] if len(kinds) == 1 else tuple(kinds), True
        default = None if entry.default is MISSING else entry.default
        found[entry.name] = Field(entry.name, kind, optional, default, option)
    return MappingProxyType(found)


def takes_fields(*settings: type, preset: bool = False, leave: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """A function whose `**keywords` are the fields of these classes: help and completion name each of them.

    With `preset` what is not given is None to the function, which then looks further; fields in `leave` are none of its
    keywords.
    """

    def named(function: Function) -> Function:
        signature = inspect.signature(function)
        found = {name: one for name, one in signature.parameters.items() if one.kind is not one.VAR_KEYWORD}
        for kind in settings:
            hints = typing.get_type_hints(kind)
            for entry in (one for one in fields(kind) if one.name not in leave):
                usual, hint = (None, hints[entry.name] | None) if preset else (entry.default, hints[entry.name])
                own = inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=usual, annotation=hint)
                found.setdefault(entry.name, own)
        function.__signature__ = signature.replace(parameters=list(found.values()))  # type: ignore[attr-defined]
        return function

    return named


def check_fields(settings: Any) -> None:
    """Raise SettingError for the first field whose value is not legal. Lists become tuples: JSON and TOML know no
    others."""
    for name, field in fields_of(type(settings)).items():
        value = getattr(settings, name)
        if not (field.optional and value is None):
            object.__setattr__(settings, name, _legal(field, value))


def _legal(field: Field, value: Any) -> Any:
    """A value, if it is legal."""
    name, option = field.name, field.option
    if field.type is bool:
        if not isinstance(value, bool):
            raise SettingError(f"{as_code(name, value)} is not legal; write true or false")
    elif field.type in (int, float):
        check_number(name, value, bound=option.bound)
    elif field.type == tuple[int, ...]:
        if not isinstance(value, list | tuple):
            raise SettingError(f"{as_code(name, value)} is not legal; give a list of whole numbers")
        for entry in value:
            check_number(name, entry)
        return tuple(value)
    elif option.choices:
        check_choice(name, value, option.choices, before=option.before)
    elif field.type is str and not isinstance(value, str):
        raise SettingError(f"{as_code(name, value)} is not legal; give a text")
    return value


def check_choice(name: str, value: Any, legal: tuple[str, ...], *, before: str | None = None) -> None:
    """Raise SettingError unless `value` is one of the legal words, or begins with one where they stand `before`
    something."""
    if not isinstance(value, str):
        wrong = "give a text" if before else f"choose {either(legal)}"
        raise SettingError(f"{as_code(name, value)} is not legal; {wrong}")
    word = value.split(before)[0] if before else value
    if word not in legal:
        raise SettingError(f"{as_code(name, word)} is not legal; choose {either(legal)}{nearest(word, legal)}")


def plain(settings: Any) -> dict[str, Any]:
    """The fields that have an Option, by name."""
    return {name: getattr(settings, name) for name in fields_of(type(settings))}


def given_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given: None was not."""
    return {name: value for name, value in values.items() if value is not None}


def written(value: Any) -> str:
    """A default as a reader types it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
