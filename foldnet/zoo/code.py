"""A user's own file: code, which runs only where whoever calls names it, never because a folder or a settings file
does."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from foldnet.bounds import shown
from foldnet.errors import RunError, SettingError, nearest
from foldnet.zoo.family import WRITTEN

LARGEST = 4 << 20  # bytes of a file that is code
_named: ContextVar[Code | None] = ContextVar("_named", default=None)
_settled: ContextVar[bool] = ContextVar("_settled", default=False)


@dataclass(frozen=True, slots=True)
class Code:
    """A file as it was read: what runs is what was hashed. `content` holds its bytes."""

    file: Path
    content: bytes

    @property
    def sha256(self) -> str:
        """The digest that runs keep."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def module(self) -> str:
        """The name of the module that it makes: that of its content, which no other module's is."""
        return f"_foldnet_code_{self.sha256[:24]}"


def read_code(file: Path | str) -> Code:
    """A user's file. Raises SettingError where it cannot be read."""
    place = Path(file)
    try:
        if not place.is_file():
            raise SettingError(f"`code={str(file)!r}` is no file; name the Python file that makes the network")
        with place.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise SettingError(f"`code={str(file)!r}` cannot be read ({error.strerror})") from None
    if len(content) > LARGEST:
        raise SettingError(
            f"`code={str(file)!r}` has more than {LARGEST:,} bytes; name the file that makes the network"
        )
    return Code(place, content)


@contextmanager
def code_named(file: Path | str | None) -> Iterator[None]:
    """Let a user's file run in this block; without one what may run stays as it is. Raises SettingError."""
    if file is None:
        yield
        return
    before = _named.set(read_code(file))
    try:
        yield
    finally:
        _named.reset(before)


@contextmanager
def code_settled(file: Path | str | None) -> Iterator[None]:
    """Let this file run in this block, or none, and no other that an architecture names: that of a study's trial was
    named by the study file."""
    before, settled = _named.set(None if file is None else read_code(file)), _settled.set(True)
    try:
        yield
    finally:
        _settled.reset(settled)
        _named.reset(before)


def file_named() -> Path | None:
    """The user's file that may run here."""
    code = _named.get()
    return None if code is None else code.file


@contextmanager
def code_of_arch(arch: object, code: Path | str | None = None) -> Iterator[None]:
    """The same for whoever names an architecture such as "nets.py:make", which names its file. Raises SettingError
    where `code` is another one."""
    found = WRITTEN.fullmatch(arch) if isinstance(arch, str) and not _settled.get() else None
    if found is not None and code is not None and read_code(code).content != read_code(found["file"]).content:
        raise SettingError(f"`arch={arch!r}` and `code={str(code)!r}` name two files; leave `code` out")
    with code_named(code if found is None else found["file"]):
        yield


def code_for(arch: str, sha256: str | None = None) -> Code:
    """The file that was named, to make a network with. Raises SettingError where none was, RunError where it is not the
    one whose digest is kept."""
    code, file = _named.get(), WRITTEN.fullmatch(arch)
    name = arch if file is None else file["file"]  # written as Python does: a folder may have given it
    if code is None:
        raise SettingError(
            f"the network is made by a file of its owner's, {name!r}, and code runs only where it is named; "
            f"give `code={name!r}`"
        )
    if sha256 is not None and code.sha256 != sha256:
        raise RunError(
            f"'{code.file}' is not the file that made the network, or was changed since (its SHA-256 differs); "
            f"name the {name!r} of that time with `code`"
        )
    return code


def function_in(code: Code, name: str) -> Callable[..., Any]:
    """A function of a user's file, which is run at its first time. Raises SettingError in one sentence for whatever
    fails in it."""
    module = _module_of(code)
    function = vars(module).get(name)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise SettingError(f"'{code.file}' has no function '{name}'{nearest(name, known)}")
    return function  # type: ignore[no-any-return]


def _module_of(code: Code) -> ModuleType:
    """The module that a file makes, run once however often its content is named."""
    name = code.module
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(code.file)
    sys.modules[name] = module  # dataclasses look up the module that they stand in
    try:
        exec(compile(code.content, str(code.file), "exec"), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise failed_in(code, error) from error
        raise
    return module


def failed_in(code: Code, error: Exception) -> SettingError:
    """What is said of an error of a user's file: where in it, and what."""
    places = {
        str(code.file),
        getattr(sys.modules.get(code.module), "__file__", None),
    }  # the same content may lie elsewhere
    if isinstance(error, SyntaxError) and error.filename in places:
        line: int | None = error.lineno
    else:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename in places), None)
    where = f"'{code.file}'" + (f", line {line}," if line is not None else "")
    return SettingError(f"{where} fails with {type(error).__name__}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """What someone else's error says, short enough for a sentence."""
    said = " ".join((getattr(error, "msg", None) or str(error)).split()).rstrip(".")
    return shown(said or type(error).__name__)
