"""Files and folders are written whole or not at all, and take the place of others in one step."""

import ctypes
import errno
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from foldnet.errors import OutputError
from foldnet.store.lock import REPLACED, held, remove_leftovers, unfinished_file, unfinished_folder

HOME = Path("runs")
VARIABLE = "FOLDNET_HOME"  # of the environment; the one that foldnet reads


def runs_home() -> Path:
    """The folder that FOLDNET_HOME names, else runs/ in the working directory."""
    return Path(os.environ.get(VARIABLE) or HOME)


def studies_home() -> Path:
    """studies/ beside the folder of the runs."""
    return runs_home().parent / "studies"


FREE_NAMES = 10_000  # how many numbered siblings are tried before a name is given up


def write_whole(path: Path, content: bytes | str) -> None:
    """Write to a temporary sibling, flush it to the disk, and rename it over `path`, which may be a link: it is not
    followed.

    What killed commands were in the middle of writing beside it is removed.
    Raises OutputError where the place cannot be written; what was at `path` is then still there.
    """
    data = content.encode() if isinstance(content, str) else content
    with said_plainly(path):
        remove_leftovers(path.parent)
        handle, temporary = unfinished_file(path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            flush_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_new(path: Path, content: bytes) -> Path:
    """Write to `path`, or to the first of path-2, path-3, ... that does not exist; of commands that ask at once each
    gets its own.

    Returns the name. Raises OutputError where the place cannot be written.
    """
    for name in numbered(path, folder=False):
        with said_plainly(name):
            try:
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            except FileExistsError:
                continue
        try:
            write_whole(name, content)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        return name
    raise OutputError(f"'{path}' and {FREE_NAMES} names like it exist already; give `out` another name")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def refuse_unnamed(path: Path) -> None:
    """Raise OutputError for a place that nothing new can be put into: the folder one stands in, or a name that is too
    long."""
    if path.name in ("", ".."):
        raise OutputError(
            f"'{path}' is the folder of the command itself or one around it, and nothing can take its "
            "place; give `out` a name in it"
        )
    refuse_long(path)


def refuse_long(path: Path) -> None:
    """Raise OutputError for a name that is too long for the system."""
    with said_plainly(path), suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()


def refuse_existing(path: Path | str | None, *, force: bool) -> None:
    """Raise OutputError if `path` exists and `force` is off, or if its parent folder does not; None names no place."""
    if path is None:
        return
    path = Path(path)
    refuse_long(path)
    if not path.parent.is_dir():
        raise OutputError(f"'{path.parent}' is not a folder; make it first or give `out` another place")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; give `out` a file name inside it")
    if path.exists() and not path.is_file():  # a device, a pipe: a file renamed over it would take its place
        raise OutputError(f"'{path}' is no file; give `out` another name")
    if path.exists() and not force:
        raise OutputError(f"'{path}' exists already; give `out` another name or add `force=True`")


def free_name(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, ... that does not exist (the number goes before a file's ending)."""
    return next(name for name in numbered(path, folder=path.is_dir()) if not name.exists())


def numbered(path: Path, *, folder: bool) -> Iterator[Path]:
    """`path`, path-2, path-3, ... up to FREE_NAMES, whether they exist or not; of a file the number goes before its
    ending."""
    yield path
    stem, suffix = (path.name, "") if folder else (path.stem, path.suffix)
    for n in range(2, FREE_NAMES):
        yield path.with_name(f"{stem}-{n}{suffix}")


def refuse_link(path: Path) -> None:
    """Raise OutputError where `path`, inside a run or fold, is a link: what is written there would land elsewhere."""
    if path.is_symlink():
        raise OutputError(
            f"'{path}' is a link and foldnet writes through none inside a run; put the folder itself there"
        )


def flush_folder(folder: Path) -> None:
    """Make names last through a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"'{path}' cannot be written ({reason}); free the place or choose another") from error


_HERE = -100  # AT_FDCWD: paths start from the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> bool:
    """Give each of two existing entries of one file system the name of the other: nobody ever sees either name missing.

    Returns False, with nothing done, where the system or the file system cannot. Raises OSError where it could but did
    not.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # a C library older than the call
        return False
    if renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(one))


@contextmanager
def new_folder(path: Path, *, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A temporary sibling to fill; it becomes `path` when the block ends well and vanishes when it does not.

    Parents are made; what killed commands left beside it is removed. A folder that exists is replaced where `check` is
    given and raises no OutputError for it: it is asked before the block and again just before the folder goes. Raises
    OutputError where `path` may not be replaced, or where the place cannot be written.
    """
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        check_free(path, check)
        with unfinished_folder(path) as temporary:
            yield temporary
            if check_free(path, check):
                _replace(temporary, path)
            else:
                _rename_new(temporary, path)
            flush_folder(path.parent)


@contextmanager
def numbered_folder(path: Path) -> Iterator[tuple[Path, Path]]:
    """(a temporary folder to fill, the name that it gets at the end): `path`, or the first of path-2, path-3, ... that
    is free.

    Of several processes that ask at one time each gets a name of its own. Raises OutputError where the place cannot be
    written.
    """
    with said_plainly(path), ExitStack() as stack:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        temporary, name = _reserve(path, stack)
        yield temporary, name
        _rename_new(temporary, name)
        flush_folder(path.parent)


def _reserve(path: Path, stack: ExitStack) -> tuple[Path, Path]:
    """An unfinished folder of the first name that neither exists nor is reserved by another process, and that name."""
    for name in numbered(path, folder=True):
        if os.path.lexists(name):
            continue
        with suppress(FileExistsError):  # else another process is filling it
            temporary = stack.enter_context(unfinished_folder(name, reserve=True))
            if not os.path.lexists(name):  # else another process has just finished it
                return temporary, name
    raise OutputError(f"'{path}' and {FREE_NAMES} names like it exist already; give `out` another name")


def check_free(path: Path, check: Callable[[Path], None] | None) -> bool:
    """Whether there is a folder to be replaced. Raises OutputError where it may not be: without a `check`, and for what
    that refuses."""
    if not os.path.lexists(path):
        return False
    if check is None:
        raise OutputError(f"'{path}' exists already; give `out` another name or add `force=True`")
    if path.is_symlink():
        raise OutputError(f"'{path}' is a link, which `force=True` does not replace; name the folder that it leads to")
    check(path)
    return True


def _rename_new(new: Path, path: Path) -> None:
    """Call a folder `path`. Raises OutputError where something is called so meanwhile."""
    try:
        new.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise OutputError(f"'{path}' exists already; give `out` another name or add `force=True`") from None
        raise


def _replace(new: Path, old: Path) -> None:
    """Give `new` the name of `old`, which is then removed by whoever made `new`, as that is what it is called now.

    Where the system cannot exchange names it takes two steps; what is killed between them leaves `old` beside its place
    under a name that remove_leftovers knows, and so do errors that keep it from being put back.
    """
    if exchange(new, old):
        return
    aside = old.with_name(f".{old.name}.{secrets.token_hex(4)}{REPLACED}")
    with held(old):
        os.rename(old, aside)
        try:
            os.rename(new, old)
        except BaseException:
            os.rename(aside, old)
            raise
        shutil.rmtree(aside, ignore_errors=True)
