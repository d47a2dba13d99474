"""What a command takes where RUN or FOLD was left out, said in a line on stderr."""

from pathlib import Path

from foldnet.drawing.output import FOLD, RUN, Subject
from foldnet_cli.page import tell


def run_or_newest(run: Path | None) -> Path:
    """The run named, else the newest one. Raises RunError where there is none."""
    return _taken(RUN, run)


def fold_or_newest(fold: Path | None) -> Path:
    """The fold named, else the newest one of the run named, or of the newest run. Raises RunError where there is
    none."""
    return _taken(FOLD, fold)


def _taken(of: Subject, named: Path | None) -> Path:
    """What is taken, said where it was not named."""
    taken = of.take(named)
    if taken.said:
        tell(taken.said)
    return Path(taken.what)


def run_to_resume() -> Path | None:
    """The newest run, where there is one to go on with."""
    from foldnet.training.begin import folder_to_resume

    run = folder_to_resume(None)
    if run is not None:
        tell(f"takes {run}, the newest run")
    return run
