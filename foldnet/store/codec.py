"""Frozen dataclasses as plain data, which JSON takes as it is, and back, every type and number checked.

What is written of a record is its fields. A class may name fields that are not written (`unwritten`), and what is
written too (`computed`): properties, or under another name what lies on a path of attributes and keys.

    @dataclass(frozen=True, slots=True)
    class Score:
        computed: ClassVar = ("share", "device=machine.device")
        unwritten: ClassVar = ("machine",)
        right: int
        images: int
        machine: Machine

        @property
        def share(self) -> float: ...

    to_plain(Score(3, 4, machine)) == {"right": 3, "images": 4, "share": 0.75, "device": "cpu"}
"""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

Record = TypeVar("Record")
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


def to_plain(value: Any) -> Any:
    """`value` as dicts with texts for keys, lists, texts and numbers. What is no finite number is None: JSON has no
    word for it."""
    if dataclasses.is_dataclass(value):
        return {name: to_plain(_at(value, path)) for name, path in _written(value)}
    if hasattr(value, "_asdict"):  # a named tuple
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return to_plain(value.tolist())
    return str(value) if isinstance(value, os.PathLike) else value


def from_plain(kind: type[Record], value: Any) -> Record:
    """The record of that kind, or the container of records, that `to_plain` wrote; what has a default may be missing.

    Raises ValueError, saying where, for a wrong type, a number out of bounds, what is missing, and what `to_plain`
    would not write.
    """
    try:
        found = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).replace("`", "").partition(" - at ")
        raise ValueError(f"{_place(place)}{reason[:1].lower()}{reason[1:]}") from None
    unknown = _unknown(value, to_plain(found), "")
    if unknown is not None:
        raise ValueError(f"{_place(unknown)}is unknown")
    return found


def digest_of_json(value: Any) -> str:
    """SHA-256 over plain data, however they are written."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _written(record: Any) -> Iterator[tuple[str, str]]:
    """What is written of a record: its name, and the path to it."""
    left_out = getattr(record, "unwritten", ())
    yield from ((field.name, field.name) for field in dataclasses.fields(record) if field.name not in left_out)
    for entry in getattr(record, "computed", ()):
        name, _, path = entry.partition("=")
        yield name, path or name


def _at(value: Any, path: str) -> Any:
    """What lies on a path of attributes and keys; None behind what is None."""
    for name in path.split("."):
        if value is not None:
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value


def _unknown(value: Any, plain: Any, place: str) -> str | None:
    """The place of the first entry of `value` that is not in `plain`, the same written again; None where there is
    none."""
    if isinstance(plain, dict):
        inner = [(value[key], plain.get(key, dataclasses.MISSING), f"{place}.{key}") for key in value]
    elif isinstance(plain, list):
        inner = [(*both, f"{place}[{index}]") for index, both in enumerate(zip(value, plain, strict=True))]
    else:
        inner = []
    found = (where if own is dataclasses.MISSING else _unknown(entry, own, where) for entry, own, where in inner)
    return next((where for where in found if where is not None), None)


def _place(path: str) -> str:
    """A place in a file, "$.units[...].owners" or the like, before what is said of it; nothing for the whole."""
    name = path.removeprefix("$").removeprefix(".")
    return f"'{name}' " if name else ""
