"""What is being written has a name of its own and is held by its owner, so that what a killed command left can be told
and removed."""

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

UNFINISHED = ".foldnet-unfinished"
REPLACED = ".foldnet-replaced"  # a folder that has left its name, until the new one stands there
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MADE_BY_FOLDNET = re.compile(rf"\.(?P<name>.+?)(?:\.[a-z0-9_]{{8}})?(?P<ending>{UNFINISHED}|{REPLACED})")


def unfinished_file(path: Path) -> tuple[int, Path]:
    """(handle, name) of a new file beside `path`, held by this process until the handle is closed. Raises OSError."""
    while True:
        name = _beside(path)
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        if _hold(handle, name):
            return handle, name
        os.close(handle)


@contextmanager
def unfinished_folder(path: Path, *, reserve: bool = False) -> Iterator[Path]:
    """A new folder beside `path`, held by this process; what stands under its name at the end is removed.

    With `reserve` its name follows from that of `path`, so that there can be only one: FileExistsError where there is
    one already. Raises OSError where the place cannot be written.
    """
    handle, folder = _held_folder(path, reserve)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _beside(path: Path) -> Path:
    """A name for what is being written and will be `path`, which nothing else has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")


def _held_folder(path: Path, reserve: bool) -> tuple[int, Path]:
    """(handle, name) of a new folder beside `path`, held until the handle is closed."""
    while True:
        folder = path.with_name(f".{path.name}{UNFINISHED}") if reserve else _beside(path)
        folder.mkdir()
        with suppress(FileNotFoundError):  # taken for abandoned, and removed, before it was held
            handle = os.open(folder, FOLDER_FLAGS)
            if _hold(handle, folder):
                return handle, folder
            os.close(handle)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, whatever it is called meanwhile, so that nobody takes it for abandoned. Raises OSError."""
    handle = os.open(folder, FOLDER_FLAGS)
    try:
        _hold(handle, folder)
        yield
    finally:
        os.close(handle)


def is_leftover(path: Path) -> bool:
    """Whether a name is one that foldnet gives to what is not finished (its owner may be alive)."""
    return _MADE_BY_FOLDNET.fullmatch(path.name) is not None


def is_abandoned(path: Path) -> bool:
    """Whether nobody holds a leftover any more. False where that cannot be told."""
    return _taken_over(path, remove=False)


def remove_leftovers(folder: Path) -> None:
    """Remove from `folder` what commands that were killed were in the middle of writing there.

    Only what has a name that foldnet makes and no living owner; a folder that had left its name for a new one that
    never came gets its name back.
    """
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(".")]
    except OSError:
        return  # whoever wants to write there will be told why not
    for path in found:
        match = _MADE_BY_FOLDNET.fullmatch(path.name)
        if match is None:
            continue
        original = path.with_name(match["name"])
        if match["ending"] == REPLACED and not os.path.lexists(original):
            if is_abandoned(path):
                with suppress(OSError):
                    path.rename(original)
        else:
            _taken_over(path, remove=True)


def replaced_meanwhile(path: Path) -> Path | None:
    """Where the content of a missing folder stands, if a command was killed between the two steps of replacing it."""
    if os.path.lexists(path) or not path.parent.is_dir():
        return None
    found = sorted(path.parent.glob(f".{escape(path.name)}.????????{REPLACED}"))
    return found[0] if found else None


def _hold(handle: int, path: Path) -> bool:
    """Hold an open file or folder; whether it is still at `path`. Another process can have it for a moment only, to
    remove it."""
    with suppress(OSError):  # a file system without locks: there nothing is ever taken for abandoned
        fcntl.flock(handle, fcntl.LOCK_EX)
    return is_same(handle, path)


def _taken_over(path: Path, *, remove: bool) -> bool:
    """Whether the owner of a leftover is dead; it is then removed, if so wished."""
    try:
        kind = path.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            return False
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove and is_same(handle, path):
            if stat.S_ISDIR(kind):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def is_same(handle: int, path: Path) -> bool:
    """Whether the open file is the one at `path`, which is no link to it."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(handle))
