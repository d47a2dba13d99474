"""What runs and folds have in common: a folder with a config.json that says what it is, how it is found and how it is
read.

A folder of one kind may lie in another: folds lie in their run. What is damaged is found too, so that it can be named.
"""

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from foldnet.errors import FoldnetError, RunError
from foldnet.store.files import refuse_link
from foldnet.store.leftovers import replaced_meanwhile
from foldnet.store.reading import read_json
from foldnet.store.upgrade import check_schema

KINDS = {"run": "runs/NAME", "fold": "runs/NAME/fold-0.95"}  # what a folder can be, and an example
CHECKPOINTS = ("last", "best")  # folders inside a run
BOARD = "tensorboard"  # the folder of a run that TensorBoard reads
CHECKPOINT = "checkpoint.safetensors"  # the file in each
MARKS = {  # what tells a folder whose config.json is damaged
    "run": ("metrics.jsonl", "coefficients.safetensors", "last"),
    "fold": ("program.json", "weights.safetensors"),
}


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """The config.json of a folder of one kind. Raises RunError where there is none, or it is not what it should be."""
    if (aside := replaced_meanwhile(folder)) is not None:
        raise RunError(f"'{folder}' was about to be replaced when a command was killed; rename '{aside}' back to it")
    if not folder.is_dir():
        raise RunError(f"'{folder}' is not a folder; give the folder of a {kind}, such as {KINDS[kind]}")
    file = folder / "config.json"
    if not file.is_file():
        raise RunError(f"'{folder}' holds no config.json; it is not the folder of a {kind}")
    config = read_json(file)
    found = config.get("kind") if isinstance(config, dict) else None
    if found != kind and found in tuple(KINDS):
        raise RunError(f"'{folder}' is the folder of a {found}, not of a {kind}; give the folder of a {kind}")
    if not isinstance(config, dict) or found != kind:
        raise RunError(f"'{file}' is not that of a {kind}; it was edited, or '{folder}' is not foldnet's")
    check_schema(config, file)
    return config


def folders_of(kind: str, place: Path) -> list[Path]:
    """The folders of one kind directly inside `place`, also damaged ones: whoever opens those is told what is wrong
    with them."""
    found = []
    for folder in place.glob("*/"):
        # One that begins with a point is being written, or was left by a killed process.
        if not folder.name.startswith(".") and (created := _created(folder, kind)) is not None:
            found.append((created, folder))
    return [folder for _, folder in sorted(found)]


def refuse_linked(folder: Path) -> None:
    """Raise OutputError where the way to `folder` goes through a link inside a run or fold: what is written there lands
    elsewhere."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and any(_created(above, kind) is not None for above in place.parents for kind in KINDS):
            refuse_link(place)


def _created(folder: Path, kind: str) -> str | None:
    """When a folder says that it was made, "" where it is damaged; None where it is of another kind, or foreign."""
    if kind == "fold" and folder.is_symlink():
        return None  # elsewhere, and so no part of the run
    try:
        config = read_json(folder / "config.json")
    except RunError:
        config = None
    if isinstance(config, dict) and config.get("kind") in tuple(KINDS):
        return str(config.get("created", "")) if config["kind"] == kind else None
    return "" if any(os.path.lexists(folder / name) for name in MARKS[kind]) else None


def newest_that_opens(folders: list[Path], opened: Callable[[Path], object]) -> Path:
    """The last of some folders that `opened` can open, or the very last."""
    for folder in reversed(folders):
        with suppress(FoldnetError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever opens it is warned then
            opened(folder)
            return folder
    return folders[-1]
