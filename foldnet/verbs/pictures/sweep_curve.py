"""The curve of a sweep: accuracy against what is stored."""

from pathlib import Path

from foldnet.choosing.sweep_file import SWEEP_FILE, read_sweep
from foldnet.drawing.figures import write_figure
from foldnet.drawing.sweep_figure import sweep_figure
from foldnet.errors import RunError
from foldnet.store.codec import from_plain
from foldnet.training.runs import open_run
from foldnet.verbs.fold_report import SweepReport


def write(folder: Path, file: Path) -> None:
    """Draw what `foldnet fold --sweep` wrote into a run. Raises RunError where there is no curve yet, OutputError."""
    run = open_run(folder)
    if not (run.folder / SWEEP_FILE).is_file():
        raise RunError(f"run '{run.folder}' has no {SWEEP_FILE}; make it with `foldnet.sweep({str(run.folder)!r})`")
    try:
        sweep = from_plain(SweepReport, read_sweep(run))
        knees = {unit: sweep.units[unit][knee.point] for unit, knee in sweep.knee.items()}
    except (ValueError, KeyError, IndexError) as error:
        raise RunError(f"'{run.folder / SWEEP_FILE}' is not a sweep ({error}); make it again") from None
    figure = sweep_figure(
        sweep.units,
        sweep.soft,
        run.settings.arch,
        knees,
        dense=sweep.dense_numbers,
        measure=run.task.measure,
        images=sweep.images if run.task.proportion else None,
        percent=run.task.share,
    )
    write_figure(figure, file)
