"""Whatever network a folder holds, opened: that of a run, soft or plain, or that of a fold, looped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foldnet.errors import SettingError
from foldnet.folding.folds import load_fold, newest_fold
from foldnet.store.reading import read_json
from foldnet.typed import checked

if TYPE_CHECKING:
    from torch import nn

    from foldnet.training.runs import Run


@checked
def load(path: Path | str, *, checkpoint: str = "last") -> nn.Module:
    """The network of a run folder (soft or plain) or of a fold folder (looped), in evaluation mode on the CPU.

    Shapes: x (n, channels, h, w), normalised as its dataset is, -> logits (n, classes), or (n, h, w) of cells. Nothing
    in the folder can run code. Raises RunError where the folder is missing, empty, damaged, foreign or changed after it
    was written.
    """
    folder = Path(path)
    if kind_of(folder) == "fold":
        return load_fold(folder)[1]
    from foldnet.training.runs import open_run

    return open_run(folder).load(checkpoint)[0]


def open_network(folder: Path, checkpoint: str = "last", named: Path | str | None = None) -> tuple[nn.Module, Run, str]:
    """The network in a folder, the run that says which data it knows, and its form: "soft", "plain" or "looped".

    `named` is the run of a fold that does not lie inside it.
    """
    if kind_of(folder) == "fold":
        if checkpoint != "last":
            raise SettingError(f"`checkpoint={checkpoint!r}` is for runs and '{folder}' is a fold; leave it out")
        from foldnet.folding.origin import run_of_fold  # which knows all of folding

        fold, looped = load_fold(folder)
        return looped, run_of_fold(fold, named), "looped"
    if named is not None:
        raise SettingError(f"`run` is for folds and '{folder}' is a run; leave it out")
    from foldnet.training.runs import open_run

    run = open_run(folder)
    return run.load(checkpoint)[0], run, "soft" if run.settings.arch.startswith("s") else "plain"


def kind_of(folder: Path) -> str:
    """ "run" or "fold", by the folder's config.json; "run" where that says nothing, for open_run to complain."""
    config = folder / "config.json"
    found = read_json(config) if config.is_file() else None
    return "fold" if isinstance(found, dict) and found.get("kind") == "fold" else "run"


def fold_folder(path: Path | str | None) -> Path:
    """The fold named, or the newest of the run named (of the newest run, where nothing is). Raises RunError."""
    if path is None:
        return newest_fold()
    folder = Path(path)
    if folder.is_dir() and kind_of(folder) == "run" and (folder / "config.json").is_file():
        return newest_fold(folder)
    return folder
