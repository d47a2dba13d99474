"""A folder appears when it is full, or takes the place of another in one step."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foldnet.errors import FoldnetError, OutputError, in_order
from foldnet.store.artifact import BOARD, CHECKPOINT, CHECKPOINTS, read_config
from foldnet.store.files import FREE_NAMES, exchange, flush_folder, numbered, said_plainly, umask
from foldnet.store.leftovers import REPLACED, held, is_abandoned, is_leftover, remove_leftovers, unfinished_folder


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


FILES = {
    "run": (
        "config.json",
        "metrics.jsonl",
        "coefficients.safetensors",
        "progress.json",
        "report.json",
        "sweep.json",
        "lock.json",
    ),
    "fold": ("config.json", "program.json", "report.json", "weights.safetensors", "certificate.json"),
}
PICTURES = re.compile(
    r"(graph|sharing|lsm|history|sweep|fold|depth|paths|reach)(-\d+)?\.(svg|png|pdf|dot|gv|graphml|json|csv|npy|npz)"
)
NOTES = (".md", ".rst", ".txt")
SAID = 5  # names in a sentence


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a run or fold besides itself and its pictures, by names relative to it; `unfinished` is what a command
    writes now."""

    folds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def check_replaceable(folder: Path, opened: Callable[[Path], object], *, kind: str, force: int) -> None:
    """Raise OutputError unless a folder is empty, or one of `kind` that `opened` opens and that holds nothing else.

    Folds and notes (.md, .rst, .txt) inside it go only where `force` is at least 2, anything else that foldnet did not
    write never.
    """
    if not folder.is_dir() or (any(folder.iterdir()) and not _is(folder, kind)):
        raise OutputError(
            f"'{folder}' is not the folder of a {kind}, and `force=True` replaces no other; give `out` another name"
        )
    if not any(folder.iterdir()):
        return
    try:
        opened(folder)
    except FoldnetError as error:
        raise OutputError(f"'{folder}' is not replaced, as foldnet can't open it: {error}") from None
    found = contents_of(folder, kind)
    if found.unfinished:
        raise OutputError(f"another command is writing {_said(found.unfinished)} in '{folder}'; wait for it or stop it")
    if found.unknown:
        raise OutputError(
            f"'{folder}' holds {_said(found.unknown)}, which foldnet did not write and never deletes; "
            f"move that away, or give `out` another name"
        )
    if force < 2 and (found.folds or found.notes):
        raise OutputError(
            f"'{folder}' holds {_said(found.folds + found.notes)}; give `force=2` to delete that too, "
            f"or give `out` another name"
        )


def contents_of(folder: Path, kind: str) -> Contents:
    """What a run or fold holds besides what it is made of."""
    found: dict[str, list[str]] = {"folds": [], "notes": [], "unknown": [], "unfinished": []}
    for name, what in _sorted_out(folder, kind):
        found[what].append(name)
    return Contents(**{what: tuple(in_order(names)) for what, names in found.items()})


def _sorted_out(folder: Path, kind: str) -> Iterator[tuple[str, str]]:
    """(name, field of Contents) of whatever in a run or fold is no part of it."""
    for entry in os.scandir(folder):
        path = Path(entry.path)
        plain = entry.is_file(follow_symlinks=False)
        if is_leftover(path):
            if not is_abandoned(path):
                yield entry.name, "unfinished"
        elif plain and (entry.name in FILES[kind] or PICTURES.fullmatch(entry.name)):
            continue
        elif plain and path.suffix in NOTES:
            yield entry.name, "notes"
        elif kind == "run" and entry.is_dir(follow_symlinks=False):
            yield from ((f"{entry.name}{inner}", what) for inner, what in _inside(path))
        else:
            yield entry.name, "unknown"


def _inside(folder: Path) -> Iterator[tuple[str, str]]:
    """The same of a folder inside a run, names with a slash before them; "" is the folder itself."""
    if _is(folder, "fold"):
        yield "", "folds"
        yield from ((f"/{name}", what) for name, what in _sorted_out(folder, "fold"))
    elif folder.name in CHECKPOINTS or folder.name == BOARD:
        for entry in os.scandir(folder):
            ours = (
                entry.name == CHECKPOINT
                if folder.name in CHECKPOINTS
                else entry.name.startswith("events.out.tfevents.")
            )
            if not (ours and entry.is_file(follow_symlinks=False)) and not is_leftover(Path(entry.path)):
                yield f"/{entry.name}", "unknown"
    else:
        yield "", "unknown"


def _is(folder: Path, kind: str) -> bool:
    """Whether a folder says that it is a run, or a fold."""
    try:
        read_config(folder, kind)
    except FoldnetError:
        return False
    return True


def _said(names: tuple[str, ...]) -> str:
    """Names in a sentence, the first few of many."""
    more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
    return ", ".join(f"'{name}'" for name in names[:SAID]) + more
