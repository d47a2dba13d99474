"""A folder appears when it is full, or takes the place of another in one step."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from foldnet.errors import OutputError
from foldnet.store.exchange import exchange
from foldnet.store.files import FREE_NAMES, flush_folder, numbered, said_plainly, umask
from foldnet.store.leftovers import REPLACED, held, remove_leftovers, unfinished_folder


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
        _check(path, check)
        with unfinished_folder(path) as temporary:
            os.chmod(temporary, 0o777 & ~umask())
            yield temporary
            if _check(path, check):
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
        os.chmod(temporary, 0o777 & ~umask())
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


def _check(path: Path, check: Callable[[Path], None] | None) -> bool:
    """Whether there is a folder to be replaced. Raises OutputError where it may not be."""
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
