"""Files are written whole or not at all."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from foldnet.errors import OutputError, RunError
from foldnet.reading import read_json

FREE_NAMES = 10_000  # how many numbered siblings are tried before a name is given up


def write_whole(path: Path, content: bytes | str) -> None:
    """Write to a temporary sibling, flush it to the disk, and rename it over `path`.

    Raises OutputError where the place cannot be written; what was at `path` is then still there.
    """
    data = content.encode() if isinstance(content, str) else content
    with _said_plainly(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
            _flush_folder(path.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def refuse_existing(path: Path, *, force: bool, option: str) -> None:
    """Raise OutputError if `path` exists and `force` is off, or if its parent folder does not."""
    if not path.parent.is_dir():
        raise OutputError(f"'{path.parent}' is not a folder; make it first or give {option} another place")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; give {option} a file name inside it")
    if path.exists() and not force:
        raise OutputError(f"'{path}' exists already; give {option} another name or add --force")


def free_name(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, ... that does not exist (the number goes before a file's ending)."""
    candidates = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in range(2, FREE_NAMES))
    if path.is_dir() or not path.suffix:
        candidates = (path.with_name(f"{path.name}-{n}") for n in range(2, FREE_NAMES))
    return path if not path.exists() else next(new for new in candidates if not new.exists())


@contextmanager
def new_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """A temporary sibling to fill; it becomes `path` when the block ends well and vanishes when it does not.

    Parents are made. With `force` a folder that foldnet wrote, or an empty one, is replaced, never another.
    Raises OutputError where `path` may not be replaced, or where the place cannot be written.
    """
    if path.exists() and not force:
        raise OutputError(f"'{path}' exists already; give --out another name or add --force")
    if path.exists() and not _replaceable(path):
        raise OutputError(
            f"'{path}' is not a folder that foldnet wrote, and --force replaces no other; remove it yourself"
        )
    existed = path.exists()
    with _said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            if existed:
                _replace_folder(temporary, path)
            else:
                _rename_new(temporary, path)
            _flush_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _rename_new(new: Path, path: Path) -> None:
    """Call a folder `path`. Raises OutputError where something is called so meanwhile."""
    try:
        new.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise OutputError(f"'{path}' exists already; give --out another name or add --force") from None
        raise


def _flush_folder(folder: Path) -> None:
    """Make names last through a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _replaceable(path: Path) -> bool:
    """Whether a folder is empty or says in its config.json that it is a run or a fold."""
    if not path.is_dir():
        return False
    if not any(path.iterdir()):
        return True
    try:
        config = read_json(path / "config.json")
    except RunError:
        return False
    return isinstance(config, dict) and config.get("kind") in ("run", "fold")


def _replace_folder(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`, which is removed only once `new` stands there."""
    aside = Path(tempfile.mkdtemp(dir=old.parent, prefix=f".{old.name}.old."))
    kept = aside / old.name
    try:
        os.rename(old, kept)
        try:
            os.rename(new, old)
        except BaseException:
            os.rename(kept, old)
            raise
    except BaseException:
        if not kept.exists():  # where it could not be put back, it stays aside rather than vanish
            aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"'{path}' cannot be written ({reason}); free the place or choose another") from error


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
