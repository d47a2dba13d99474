"""What a fold can be compared with: its run, the soft network in it, and the run's data, as far as they are there."""

from dataclasses import dataclass
from pathlib import Path

from foldnet.choosing.laboratory import Laboratory
from foldnet.errors import DataError, RunError
from foldnet.folding.folds import Fold
from foldnet.folding.opening import run_of_fold
from foldnet.sharing.share import SharedNetwork
from foldnet.training.checkpoint import FILE
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import Silent
from foldnet.training.runs import Run

UNCOMPARED = "soft and dense, and what folding the run again gives, are left out"


@dataclass(frozen=True, slots=True)
class AtHand:
    """A fold, the machine to run it on, and what there is to compare it with.

    `run` is None where there is none, `soft` where it is not the network that was folded, `laboratory` where the
    run's data cannot be had; `missing` says of each why, and what is left out for it. `checkpoint_sha256` is the digest
    that stands in the run's checkpoint now.
    """

    fold: Fold
    machine: Machine
    run: Run | None = None
    soft: SharedNetwork | None = None
    checkpoint_sha256: str | None = None
    laboratory: Laboratory | None = None
    missing: tuple[str, ...] = ()


def at_hand(fold: Fold, named: Path | str | None, *, data: bool, data_dir: Path | None, device: str) -> AtHand:
    """Look around the fold, or where the user says: in the run `named`, with its data in `data_dir`; without `data` not
    at those.

    What is missing is said without paths, since certificates are given away.

    Raises RunError where the run that is named is another, DataError where the place that is named does not hold the
    data.
    """
    machine = choose_machine(device, "fp32")
    try:
        run = run_of_fold(fold, named)
    except RunError:
        if named is not None:
            raise
        lacking = f"run '{fold.run}' is not around the fold, and no `run` names it: {UNCOMPARED}"
        return AtHand(fold, machine, missing=(f"{lacking}, and only random inputs are compared",))
    soft, digest, missing = _soft_of(run, fold)
    laboratory = None
    if not data:
        missing = (*missing, "no test images were asked for: only random inputs are compared")
    else:
        try:
            laboratory = Laboratory(run, data_dir, device, Silent())
        except (DataError, RunError):
            if data_dir is not None:
                raise
            where = f"the data of run '{run.folder.name}' are not to be had as they were, and no `data_dir` names them"
            missing = (*missing, f"{where}: only random inputs are compared")
    return AtHand(fold, machine, run, soft, digest, laboratory, missing)


def _soft_of(run: Run, fold: Fold) -> tuple[SharedNetwork | None, str | None, tuple[str, ...]]:
    """The network that was folded, the digest of the one that is there, and what there is to say where they differ."""
    where = f"checkpoint '{fold.checkpoint}' of run '{run.folder.name}'"
    if not (run.folder / fold.checkpoint / FILE).is_file():
        return None, None, (f"{where} is gone: {UNCOMPARED}",)
    try:
        digest = run.digest(fold.checkpoint)
        if digest != fold.run_sha256:
            return None, digest, (f"{where} is not the one that was folded (its digest differs): {UNCOMPARED}",)
        model, _ = run.load(fold.checkpoint)
    except RunError:
        return None, None, (f"{where} cannot be read, since it was cut short or changed: {UNCOMPARED}",)
    return (model if isinstance(model, SharedNetwork) else None), digest, ()
