"""Locks that the system itself takes from a process that dies. A run folder has one writer; and what is being written
has a name of its own and is held, so that what a killed command left can be told and removed."""

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path

from foldnet.errors import OutputError, RunError
from foldnet.store.codec import parse_json

FILE = "lock.json"
_HELD: set[int] = set()


class Lock:
    """The right to write into a folder, held until `close`, whatever the folder is called meanwhile."""

    def __init__(self, folder: Path, handle: int) -> None:
        self.folder, self.handle = folder, handle
        _HELD.add(handle)

    def close(self) -> None:
        """Give the right back and take the file away, unless the folder has been replaced meanwhile."""
        path = self.folder / FILE
        if is_same(self.handle, path):
            with suppress(OSError):
                path.unlink()
        _HELD.discard(self.handle)
        os.close(self.handle)


def _let_go() -> None:
    """In a child that was forked: a lock is its parent's, and must not outlive it there."""
    for handle in _HELD:
        with suppress(OSError):
            os.close(handle)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def take_lock(folder: Path) -> Lock:
    """Become the one process that writes into `folder`, or raise RunError with the name of the process that is.

    What a dead process left is taken over. Raises OutputError where the folder cannot be written. Where the file system
    knows no locks the right is given without a check.
    """
    path = folder / FILE
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(handle)
            os.close(handle)
            raise RunError(
                f"run '{folder}' is being written by {owner}; wait for it, stop it, or give `out` another name"
            ) from None
        except OSError:  # no locks on this file system
            break
        # Between the two calls the owner before may have taken the file away: then a lock on it locks nobody out.
        if is_same(handle, path):
            break
        os.close(handle)
    about = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat("T", "seconds")}
    with suppress(OSError):  # a full disk: the lock holds without its owner's name
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(about).encode(), 0)
    return Lock(folder, handle)


def _open(path: Path) -> int:
    """Open a lock's file, or make it. Raises OutputError where it cannot be, or where writing to it would change a file
    elsewhere."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise OutputError(f"'{path}' is a link and foldnet writes through none inside a run; remove it") from None
        raise OutputError(f"'{path}' cannot be written ({error.strerror}); free the place or choose another") from error
    about = os.fstat(handle)
    if stat.S_ISREG(about.st_mode) and about.st_nlink <= 1:  # 0: its owner has just taken it away
        return handle
    os.close(handle)
    what = "has another name elsewhere (a hard link)" if stat.S_ISREG(about.st_mode) else "is no plain file"
    raise OutputError(f"'{path}' {what} and foldnet would write to it; remove it")


def _owner(handle: int) -> str:
    """Who holds a lock, as the file says."""
    try:
        about = parse_json(os.pread(handle, 4096, 0).decode())
        return f"process {about['process']} on '{about['host']}' since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


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
