"""What can be exported as a network: a run or a fold."""

from pathlib import Path
from typing import Any

from foldnet.drawing.output import FOLD, Subject, Taken


def _take(named: Any) -> Taken:
    """The run or fold named, else the newest fold of the newest run, or that run where it has none; a network in memory
    as it is."""
    from foldnet.store import artifact
    from foldnet.training.runs import newest_run

    if not isinstance(named, str | Path | None):
        return Taken(named)
    if named is not None:
        return Taken(path := Path(named), path)
    run = newest_run()
    folds = artifact.FOLD.all_in(run)
    if folds:
        return FOLD.take(None)
    return Taken(run, run, f"using {run}, the newest run, which has no fold")


NETWORK = Subject("RUN or FOLD", "Run or fold folder; left out, the newest fold of the newest run.", _take)
