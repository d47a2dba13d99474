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

JSON and TOML files are read here too: whole, of a size that is bounded, and as plain data alone.
"""

import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from foldnet.errors import RunError, SettingError

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


LARGEST = 16 << 20  # bytes of a JSON file; empty lists, the worst that JSON can hold, take 20 times as much memory
LARGEST_TOML = 64 << 10  # bytes of a TOML file: settings fill a page
LONGEST_LINE = 1000  # characters of a line of TOML: the time for dotted keys grows with the square of their length
DEEPEST = 100  # lists in lists
LONGEST_NUMBER = 40  # digits of a whole number
HALF_A_LETTER = re.compile(r"\\u[dD][89a-fA-F]")  # of a UTF-16 pair: alone it can neither be printed nor name a file
LINKED = "is a symbolic link, and none is followed inside a run or fold; copy the folder with `cp -RL`"

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotPlain(ValueError):
    """What stands at a path is not a plain file of a bounded size; the text goes on behind the path and ends with the
    mend."""


@contextmanager
def open_plain(path: Path, *, links: bool = False) -> Iterator[io.BufferedReader]:
    """A plain file, opened for reading bytes; symbolic links are followed with `links` alone.

    Raises NotPlain for anything else, and OSError where there is nothing or it may not be read. Opening never waits, as
    it would for a pipe that nobody writes to.
    """
    with os.fdopen(_open(path, links=links), "rb") as file:
        yield file


def read_bytes(path: Path, *, most: int = LARGEST, links: bool = False) -> bytes:
    """The content of a plain file of at most `most` bytes. Raises NotPlain for a longer one, else what open_plain
    raises."""
    with open_plain(path, links=links) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise NotPlain(f"has more than {most:,} bytes, the most that foldnet reads there; put a smaller file there")
    return content


def read_text(path: Path, *, most: int = LARGEST, links: bool = False) -> str:
    """The same as text. Raises ValueError also where it is not UTF-8."""
    return read_bytes(path, most=most, links=links).decode()


def parse_json(text: str) -> Any:
    """The value of a JSON text: nested at most 100 deep, numbers finite and at most 40 digits long. Raises
    ValueError."""
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_refuse_constant)
        if HALF_A_LETTER.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    _check_depth(value)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text, lines at most 1,000 characters long. Raises ValueError."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"line {number} has more than {LONGEST_LINE:,} characters")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    _check_depth(content)
    return content


@contextmanager
def of_a_folder(path: Path) -> Iterator[None]:
    """Turn what keeps a file of a run or fold from being read into a RunError of one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise RunError(f"'{path}' is missing; was the folder copied whole?") from None
    except OSError as error:
        raise RunError(f"'{path}' cannot be read ({error.strerror}); check its permissions") from None
    except NotPlain as error:
        raise RunError(f"'{path}' {error}") from None


@contextmanager
def reading(given: str, kind: str) -> Iterator[None]:
    """Turn what keeps a file, which a user calls `given`, from being read as JSON or TOML into a SettingError."""
    try:
        yield
    except OSError as error:
        raise SettingError(f"{given} cannot be read ({error.strerror}); check the path") from None
    except NotPlain as error:
        raise SettingError(f"{given} {error}") from None
    except ValueError as error:
        raise SettingError(f"{given} is not valid {kind} ({error}); mend that line") from None


def read_json(path: Path) -> Any:
    """The JSON value in a file of a run or fold. Raises RunError where it is missing, no plain file, or not JSON."""
    try:
        with of_a_folder(path):
            value = parse_json(read_text(path))
    except ValueError as error:
        raise RunError(f"'{path}' is not valid JSON ({error}); it was cut short or edited") from None
    return value


def _open(path: Path, *, links: bool) -> int:
    """A handle on a plain file."""
    if "\0" in str(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        handle = os.open(path, flags if links else flags | os.O_NOFOLLOW)
    except OSError as error:
        if links or error.errno not in (errno.ELOOP, errno.EMLINK):
            raise
        raise NotPlain(LINKED) from None
    found = stat.S_IFMT(os.fstat(handle).st_mode)
    if found != stat.S_IFREG:
        os.close(handle)
        raise NotPlain(f"is {KINDS.get(found, 'something else')} and not a plain file; put one there")
    return handle


def _check_depth(value: Any) -> None:
    """Raise ValueError where lists and objects are nested too deep for those who walk them. Walks level by level
    itself."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST + 1):
        if not level:
            return
        inner = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
        level = [part for part in inner if isinstance(part, dict | list)]
    raise ValueError(f"nested more than {DEEPEST} deep")


def _whole(text: str) -> int:
    """A whole number, unless it is absurdly long."""
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _finite(text: str) -> float:
    """A number with a point or an exponent, unless it is beyond all floats."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:LONGEST_NUMBER]} is beyond all numbers")
    return value


def _refuse_constant(name: str) -> NoReturn:
    """Infinity and NaN, which Python would read and JSON does not have."""
    raise ValueError(f"{name} is no JSON number")
