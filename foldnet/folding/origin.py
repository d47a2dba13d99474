"""Where a fold came from: its run, and the soft network that was folded."""

from pathlib import Path

from foldnet.errors import RunError
from foldnet.folding.folds import Fold
from foldnet.folding.plan import soft_network
from foldnet.sharing.share import SharedNetwork
from foldnet.store.tensors import digest_of
from foldnet.training.checkpoint import FILE
from foldnet.training.runs import Run, open_run


def run_of_fold(fold: Fold, named: Path | str | None = None) -> Run:
    """The run of a fold: the one `named`, else the folder around the fold. No other place is looked at.

    The folder around it says which data the fold knows even if its weights have changed since; a run that is named must
    hold the weights that were folded. Raises RunError where there is no such run.
    """
    if named is not None:
        run = open_run(Path(named))
        if not holds(run, fold):
            raise RunError(
                f"`run={str(named)!r}` is not the run of '{fold.folder}' (the digest of its checkpoint "
                f"'{fold.checkpoint}' differs); "
                f"name the run '{fold.run}' as it was when it was folded"
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
    run = run_of_fold(fold, named)
    model, _ = run.load(fold.checkpoint)
    if not holds(run, fold):
        raise RunError(
            f"checkpoint '{fold.checkpoint}' of run '{run.folder}' is not the one that was folded (its "
            "digest differs); "
            f"name the run that was with `run`, or fold this one again"
        )
    return soft_network(model)


def holds(run: Run, fold: Fold) -> bool:
    """Whether a run's checkpoint is the one that was folded, as its file says."""
    try:
        return digest_of(run.folder / fold.checkpoint / FILE, "model") == fold.run_sha256
    except RunError:
        return False
