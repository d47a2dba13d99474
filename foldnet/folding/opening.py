"""Whatever network a folder holds, opened: a run's, soft or plain, or a fold's, looped; and where a fold came from."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.bounds import checked
from foldnet.errors import FoldnetWarning, RunError, SettingError
from foldnet.folding.folds import Fold, open_fold, read_fold
from foldnet.store.artifact import CARD_FILES, FOLD, RUN, newest_that_opens, no_folder
from foldnet.store.codec import read_json
from foldnet.store.hub import HubName, fetched, hub_name
from foldnet.store.lock import replaced_meanwhile
from foldnet.store.seals import check_files
from foldnet.zoo.family import runs_code

if TYPE_CHECKING:
    from torch import nn

    from foldnet.sharing.chosen import ChosenGroup
    from foldnet.sharing.share import SharedNetwork
    from foldnet.training.runs import Run


@runs_code
@checked
def load(path: Path | str, *, checkpoint: str = "last") -> nn.Module:
    """The network of a run folder (soft or plain) or of a fold folder (looped), in evaluation mode on the CPU.

    Shapes: x (n, channels, h, w), normalised as its dataset is, -> logits (n, classes), or (n, h, w) of cells; of text
    bytes (n, length) int64 -> logits (n, length, 256). Nothing in the folder can run code; `code` names the user's file
    that makes its network, where one does. "hf://owner/name" or "hf://owner/name@revision" names a fold on the Hugging
    Face Hub: it is fetched, checked by its hashes, and a FoldnetWarning says what nobody has verified. Raises RunError
    where the folder is missing, empty, damaged, foreign or changed after it was written, SettingError without `code`,
    UnknownName and MissingTool for what cannot be fetched.
    """
    name = hub_name(path)
    if name is not None:
        return _load_from_hub(name, checkpoint)
    folder = Path(path)
    if kind_of(folder) == "fold":
        return read_fold(folder, Fold.load)[1]
    from foldnet.training.runs import open_run

    return open_run(folder).load(checkpoint)[0]


def _load_from_hub(name: HubName, checkpoint: str) -> nn.Module:
    """The looped network of a fold on the Hub, whose every file is as its config.json says."""
    if checkpoint != "last":
        raise SettingError(f"`checkpoint={checkpoint!r}` is for runs and '{name}' is a fold; leave it out")
    with fetched(name, CARD_FILES) as (folder, commit):
        fold = open_fold(folder)
        check_files(folder, fold.files, fold.stated)
        network = fold.load()
    warnings.warn(FoldnetWarning(unverified(name, commit)), stacklevel=2)
    return network


def unverified(name: HubName, commit: str) -> str:
    """What nobody here has verified of a fold on the Hub."""
    return (
        f"'{name}' (commit {commit[:12]}) is as its own hashes say, which have no key; nobody here has verified what "
        "it says of its origin, its accuracy and its certificate, of which `foldnet.verify` computes again what can be"
    )


def open_network(folder: Path, checkpoint: str = "last", named: Path | str | None = None) -> tuple[nn.Module, Run, str]:
    """The network in a folder, the run that says which data it knows, and its form: "soft", "tied", "plain"
    or "looped".

    `named` is the run of a fold that does not lie inside it.
    """
    if kind_of(folder) == "fold":
        if checkpoint != "last":
            raise SettingError(f"`checkpoint={checkpoint!r}` is for runs and '{folder}' is a fold; leave it out")
        fold, looped = read_fold(folder, Fold.load)
        return looped, run_of_fold(fold, named), "looped"
    if named is not None:
        raise SettingError(f"`run` is for folds and '{folder}' is a run; leave it out")
    from foldnet.training.runs import open_run

    run = open_run(folder)
    return run.load(checkpoint)[0], run, run.form


def kind_of(folder: Path) -> str:
    """ "run" or "fold", by the folder's config.json; "run" where that says nothing, for open_run to complain. Raises
    RunError where there is no such folder."""
    if not folder.is_dir() and replaced_meanwhile(folder) is None:
        raise no_folder(folder, "run or fold", RUN.example)
    config = folder / "config.json"
    found = read_json(config) if config.is_file() else None
    return "fold" if isinstance(found, dict) and found.get("kind") == "fold" else "run"


def fold_folder(path: Path | str | None = None) -> Path:
    """The fold named, or of the run named (the newest run, where nothing is) the fold made last, of those that open
    where there are any. Raises RunError where there is none."""
    if path is None:
        from foldnet.training.runs import newest_run

        run = newest_run()
    else:
        run = Path(path)
        if not (run / "config.json").is_file() or kind_of(run) == "fold":
            return run
    RUN.config(run)
    found = FOLD.all_in(run)
    if not found:
        raise RunError(f"run '{run}' has no fold; make one with `foldnet.fold({str(run)!r})`")
    return newest_that_opens(found, open_fold)


def run_of_fold(fold: Fold, named: Path | str | None = None) -> Run:
    """The run of a fold: the one `named`, else the folder around the fold. No other place is looked at.

    The folder around it says which data the fold knows even if its weights have changed since; a run that is named must
    hold the weights that were folded. Raises RunError where there is no such run.
    """
    from foldnet.training.runs import open_run

    if named is not None:
        run = open_run(Path(named))
        if not _holds(run, fold):
            raise RunError(
                f"`run={str(named)!r}` is not the run of '{fold.folder}' (the digest of its checkpoint "
                f"'{fold.checkpoint}' differs); name the run '{fold.run}' as it was when it was folded"
            )
        return run
    around = fold.folder.resolve().parent
    if not (around / "config.json").is_file():
        raise RunError(
            f"fold '{fold.folder}' is not inside its run '{fold.run}', which knows its data; name that run with `run`"
        )
    return open_run(around)


def soft_of_fold(fold: Fold, named: Path | str | None = None) -> SharedNetwork:
    """The soft network that was folded, on the CPU. Raises RunError where its run is gone or has other weights by
    now."""
    from foldnet.folding.plan import soft_network

    run = run_of_fold(fold, named)
    model, _ = run.load(fold.checkpoint)
    if not _holds(run, fold):
        raise RunError(
            f"checkpoint '{fold.checkpoint}' of run '{run.folder}' is not the one that was folded (its digest "
            "differs); name the run that was with `run`, or fold this one again"
        )
    return soft_network(model)


def _holds(run: Run, fold: Fold) -> bool:
    """Whether a run's checkpoint is the one that was folded, as its file says."""
    try:
        return run.digest(fold.checkpoint) == fold.run_sha256
    except RunError:
        return False


def ties_of_fold(
    named: Path | str,
) -> tuple[dict[str, Any], tuple[tuple[str, tuple[int, ...]], ...], tuple[ChosenGroup, ...]]:
    """(settings, ties, groups) of a fold, or of a run's newest: those of the run that it lies in, its network alone
    where that is gone; of each group the owner that each layer uses; and the groups where these were chosen. Raises
    RunError."""
    import torch

    from foldnet.training.settings import flat

    fold = open_fold(fold_folder(named))
    if any(any(group.ranks) for group in fold.groups):
        raise RunError(
            f"fold '{fold.folder}' keeps residuals, and what shares hard from the start has none; fold its run without "
            "`residual`"
        )
    owner = {use.layer: use.owner for use in fold.program.uses if use.owner is not None}
    with torch.device("meta"):
        plan = fold.blueprint.plan(fold.blueprint.build_plain())
    try:
        ties = tuple((group.name, tuple(owner[layer] for layer in group.layers)) for group in plan.groups)
    except KeyError as missing:
        raise RunError(f"the program of fold '{fold.folder}' has no layer {missing}; fold the run again") from None
    settings: dict[str, Any] = {"arch": fold.arch} | fold.blueprint.named
    with suppress(RunError):
        stored = flat(run_of_fold(fold).settings)
        settings = {name: value for name, value in stored.items() if name not in ("data_dir", "device")}
    return settings, ties, fold.blueprint.groups
