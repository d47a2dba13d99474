"""One writer a run folder: a lock that the system itself takes from a process that dies."""

import fcntl
import json
import os
import socket
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from foldnet.errors import OutputError, RunError
from foldnet.store.leftovers import is_same
from foldnet.store.reading import parse_json

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
