"""Where a fold came from: its run, and the soft network that was folded."""

from pathlib import Path

from foldnet.errors import RunError
from foldnet.folding.fold import soft_network
from foldnet.folds import Fold
from foldnet.runs import Run, open_run
from foldnet.sharing.share import SharedNetwork
from foldnet.tensors import digest_of
from foldnet.training.checkpoint import FILE


def run_of_fold(fold: Fold) -> Run:
    """The run of a fold: the folder around it, or where it was made, whichever holds the weights that were folded.

    Where neither does, it is the first that is there. Raises RunError where none is.
    """
    places = (fold.folder.resolve().parent, Path(fold.run))
    there = [place for place in places if (place / "config.json").is_file()]
    if not there:
        raise RunError(
            f"fold '{fold.folder}' was made from run '{fold.run}', which is gone; its data can't be told without config.json"
        )
    return open_run(next((place for place in there if _holds(place, fold)), there[0]))


def soft_of_fold(fold: Fold) -> SharedNetwork:
    """The soft network that was folded, on the CPU. Raises RunError where its run is gone or has other weights by now."""
    run = run_of_fold(fold)
    model, _ = run.load(fold.checkpoint)
    if not _holds(run.folder, fold):
        raise RunError(
            f"checkpoint '{fold.checkpoint}' of run '{run.folder}' is not the one that was folded (its digest differs); "
            f"fold the run again"
        )
    return soft_network(model)


def _holds(run: Path, fold: Fold) -> bool:
    """Whether a run's checkpoint is the one that was folded, as its file says."""
    try:
        return digest_of(run / fold.checkpoint / FILE, "model") == fold.run_sha256
    except RunError:
        return False
