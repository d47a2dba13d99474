"""What runs and folds have in common: a folder with a config.json that says what it is, how it is found, read and
replaced.

A folder of one kind may lie in another: folds lie in their run. What is damaged is found too, so that it can be named.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from foldnet.errors import FoldnetError, OutputError, RunError, SettingError, UnknownName, in_order
from foldnet.store.codec import read_json
from foldnet.store.files import refuse_link, write_json
from foldnet.store.lock import is_abandoned, is_leftover, replaced_meanwhile
from foldnet.store.seals import SCHEMA, check_schema, check_seal, sealed, upgraded

CHECKPOINTS = ("last", "best")  # folders inside a run
CHECKPOINT = "checkpoint.safetensors"  # the file in each
BOARD = "tensorboard"  # the folder of a run that TensorBoard reads
PICTURES = re.compile(
    r"(graph|sharing|lsm|history|sweep|fold|depth|paths|reach|efficiency|seeds)(-\d+)?\.(svg|png|pdf|dot|gv|graphml|json|csv|npy|npz)"
    r"|report(-\d+)?\.html|network(-\d+)?\.(onnx|pt2|safetensors)|exported-[0-9a-f]{12}\.json"
)
NOTES = (".md", ".rst", ".txt")
SAID = 5  # names in a sentence
Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a run or fold besides itself and its pictures, by names relative to it; `unfinished` is what a command
    writes now."""

    folds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A kind of folder: an `example` of where one lies, the `files` that commands write into it, and the `marks` that
    tell one whose config.json is damaged. How one is opened, whoever asks for it says."""

    kind: str
    example: str
    files: tuple[str, ...]
    marks: tuple[str, ...]

    def write_config(self, folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        """Write config.json into a folder: what it is, when it was made, `content`, and a seal over all of that."""
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        config = sealed({"schema": SCHEMA, "kind": self.kind, "created": created} | content)
        write_json(folder / "config.json", config)
        return config

    def config(self, folder: Path) -> dict[str, Any]:
        """The config.json of a folder, as it was written. Raises RunError where there is none, or it is not what it
        should be."""
        kind, file = self.kind, folder / "config.json"
        if (aside := replaced_meanwhile(folder)) is not None:
            raise RunError(
                f"'{folder}' was about to be replaced when a command was killed; rename '{aside}' back to it"
            )
        if not folder.is_dir():
            raise no_folder(folder, kind, self.example)
        if not file.is_file():
            raise RunError(f"'{folder}' holds no config.json; it is not the folder of a {kind}")
        config = read_json(file)
        found = config.get("kind") if isinstance(config, dict) else None
        if found != kind and found in tuple(ARTIFACTS):
            raise RunError(f"'{folder}' is the folder of a {found}, not of a {kind}; give the folder of a {kind}")
        if not isinstance(config, dict) or found != kind:
            raise RunError(f"'{file}' is not that of a {kind}; it was edited, or '{folder}' is not foldnet's")
        check_schema(config, file)
        return config

    def open(self, folder: Path, read: Callable[[dict[str, Any]], Opened]) -> tuple[Opened, bool]:
        """What `read` makes of a folder's config.json as this version writes it, and whether it is sealed.

        Raises RunError where config.json is missing, damaged, foreign, changed or of another schema.
        """
        config, file = self.config(folder), folder / "config.json"
        try:
            found = read(upgraded(config))
        except (SettingError, UnknownName) as error:
            raise RunError(f"'{file}' has a setting that is not legal ({error}); restore the file") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"'{file}' is not a {self.kind}'s ({error!r}); it was edited or is foreign") from None
        return found, check_seal(config, file)

    def all_in(self, place: Path) -> list[Path]:
        """The folders of this kind directly inside `place`, oldest first; damaged ones that can't say when come
        before."""
        # One that begins with a point is being written, or was left by a killed process.
        folders = (folder for folder in place.glob("*/") if not folder.name.startswith("."))
        found = ((self.created(folder), folder) for folder in folders)
        return [folder for created, folder in sorted(entry for entry in found if entry[0] is not None)]

    def created(self, folder: Path) -> str | None:
        """When a folder says that it was made, "" where it is damaged; None where it is of another kind, or foreign."""
        if self.kind == "fold" and folder.is_symlink():
            return None  # elsewhere, and so no part of the run
        try:
            config = read_json(folder / "config.json")
        except RunError:
            config = None
        if isinstance(config, dict) and config.get("kind") in tuple(ARTIFACTS):
            return str(config.get("created", "")) if config["kind"] == self.kind else None
        return "" if any(os.path.lexists(folder / name) for name in self.marks) else None

    def is_one(self, folder: Path) -> bool:
        """Whether a folder says that it is of this kind."""
        with suppress(FoldnetError):
            return bool(self.config(folder))
        return False

    def check_replaceable(self, folder: Path, opened: Callable[[Path], object], *, force: int) -> None:
        """Raise OutputError unless a folder is empty, or one of this kind that `opened` opens and that holds nothing
        else.

        Folds and notes (.md, .rst, .txt) inside it go only where `force` is at least 2, anything else that foldnet did
        not write never.
        """
        if not folder.is_dir() or (any(folder.iterdir()) and not self.is_one(folder)):
            raise OutputError(
                f"'{folder}' is not the folder of a {self.kind}, and `force=True` replaces no other; "
                "give `out` another name"
            )
        if not any(folder.iterdir()):
            return
        try:
            opened(folder)
        except FoldnetError as error:
            raise OutputError(f"'{folder}' is not replaced, as foldnet can't open it: {error}") from None
        found = self.contents_of(folder)
        if found.unfinished:
            names = _said(found.unfinished)
            raise OutputError(f"another command is writing {names} in '{folder}'; wait for it or stop it")
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

    def contents_of(self, folder: Path) -> Contents:
        """What a folder holds besides what it is made of."""
        found: dict[str, list[str]] = {}
        for name, what in self._sorted_out(folder):
            found.setdefault(what, []).append(name)
        return Contents(**{what: tuple(in_order(names)) for what, names in found.items()})

    def _sorted_out(self, folder: Path) -> Iterator[tuple[str, str]]:
        """(name, field of Contents) of whatever in a folder is no part of it."""
        for path in folder.iterdir():
            plain = path.is_file() and not path.is_symlink()
            if is_leftover(path):
                if not is_abandoned(path):
                    yield path.name, "unfinished"
            elif plain and (path.name in self.files or PICTURES.fullmatch(path.name)):
                continue
            elif plain and path.suffix in NOTES:
                yield path.name, "notes"
            elif self.kind == "run" and path.is_dir() and not path.is_symlink():
                yield from ((f"{path.name}{inner}", what) for inner, what in _inside(path))
            else:
                yield path.name, "unknown"


RUN_FILES = ("config.json", "metrics.jsonl", "coefficients.safetensors", "progress.json", "report.json", "sweep.json")
FOLD_FILES = ("config.json", "program.json", "report.json", "weights.safetensors", "certificate.json")
CARD_FILES = ("README.md", "model.safetensors", *(name for name in FOLD_FILES if name != "weights.safetensors"))
RUN = Artifact(
    "run", "runs/NAME", (*RUN_FILES, "convert.json", "lock.json"), ("metrics.jsonl", "coefficients.safetensors", "last")
)
FOLD = Artifact(
    "fold", "runs/NAME/fold-0.95", (*FOLD_FILES, "model.safetensors"), ("program.json", "weights.safetensors")
)
STUDY = Artifact("study", "studies/NAME", ("config.json", "results.json", "lock.json"), ("results.json",))
ARTIFACTS = {artifact.kind: artifact for artifact in (RUN, FOLD, STUDY)}


def no_folder(path: Path | str, kind: str, example: str) -> RunError:
    """What is said of a path that is no folder, such as a place on the Hub, which is to be fetched first."""
    from foldnet.store.hub import hub_name

    name = hub_name(path)
    if name is None:
        return RunError(f"'{path}' is not a folder; give the folder of a {kind}, such as {example}")
    fetch = f"`foldnet.card({str(name)!r}, out='FOLDER')`"
    return RunError(f"'{name}' lies on the Hub; fetch it with {fetch}, and give that folder")


def newest_that_opens(folders: list[Path], opened: Callable[[Path], object]) -> Path:
    """The last of some folders that `opened` can open, or the very last."""
    for folder in reversed(folders):
        with suppress(FoldnetError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever opens it is warned then
            opened(folder)
            return folder
    return folders[-1]


def refuse_linked(folder: Path) -> None:
    """Raise OutputError where the way to `folder` goes through a link inside a run or fold: what is written there lands
    elsewhere."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and any(
            artifact.created(above) is not None for above in place.parents for artifact in ARTIFACTS.values()
        ):
            refuse_link(place)


def _inside(folder: Path) -> Iterator[tuple[str, str]]:
    """The same as _sorted_out of a folder inside a run, names with a slash before them; "" is the folder itself."""
    if FOLD.is_one(folder):
        yield "", "folds"
        yield from ((f"/{name}", what) for name, what in FOLD._sorted_out(folder))
    elif folder.name in (*CHECKPOINTS, BOARD):
        ours = "events.out.tfevents.*" if folder.name == BOARD else CHECKPOINT
        for path in folder.iterdir():
            if not (path.match(ours) and path.is_file() and not path.is_symlink()) and not is_leftover(path):
                yield f"/{path.name}", "unknown"
    else:
        yield "", "unknown"


def _said(names: tuple[str, ...]) -> str:
    """Names in a sentence, the first few of many."""
    more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
    return ", ".join(f"'{name}'" for name in names[:SAID]) + more
