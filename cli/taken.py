"""What a command takes where RUN or FOLD was left out, said in a line on stderr."""

from collections.abc import Sequence
from pathlib import Path

from foldnet_cli.page import tell


def run_or_newest(run: Path | None) -> Path:
    """The run named, else the newest one. Raises RunError where there is none."""
    from foldnet.training.runs import newest_run

    if run is None:
        run = newest_run()
        tell(f"takes {run}, the newest run")
    return run


def fold_or_newest(fold: Path | None) -> Path:
    """The fold named, else the newest one of the run named, or of the newest run. Raises RunError where there is none."""
    from foldnet.folding.opening import fold_folder

    folder = fold_folder(fold)
    if fold is None:
        tell(f"takes {folder}, the newest fold of the newest run")
    elif folder != fold:
        tell(f"takes {folder}, the newest fold of {fold}")
    return folder


def grid_runs_or_all(runs: Sequence[Path]) -> list[Path]:
    """The runs named, else all that were trained on grids. Raises RunError where there is none."""
    from foldnet.verbs.render_paths import grid_runs

    if runs:
        return list(runs)
    found = [run.folder for run in grid_runs()]
    tell(f"takes {', '.join(map(str, found))}, all runs that were trained on grids")
    return found


def run_to_resume() -> Path | None:
    """The newest run, where there is one to go on with."""
    from foldnet.training.begin import folder_to_resume

    run = folder_to_resume(None)
    if run is not None:
        tell(f"takes {run}, the newest run")
    return run
