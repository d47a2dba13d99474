"""F1 on held-out grids as training went on, a curve for all runs that differ in their seed alone: the paper's Figure
5."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from foldnet.data.phases import first_epochs, phase_of
from foldnet.data.sources import GridSource
from foldnet.drawing.curves import f1_figure
from foldnet.drawing.figures import write_figure
from foldnet.errors import FoldnetError, RunError, SettingError
from foldnet.store.files import runs_home
from foldnet.training.runs import Run, all_runs, open_run, read_metrics
from foldnet.training.settings import TrainSettings, flat


def write(folders: Sequence[Path], file: Path) -> None:
    """Draw runs on grids: a mean and a band over the seeds of each network, phases marked.

    Raises SettingError for runs of another kind, of other phases than the first, or without held-out grids, RunError,
    OutputError.
    """
    runs = [open_run(folder) for folder in folders]
    first = runs[0].settings
    windows, begins = _windows(runs[0]), _begins(runs[0])
    curves: dict[TrainSettings, list[list[float]]] = {}
    for run in runs:
        if (run.settings.dataset, _windows(run), _begins(run)) != (first.dataset, windows, begins):
            raise SettingError(
                f"run '{run.folder}' has other phases than '{runs[0].folder}'; draw runs of the same `windows` together"
            )
        lines = [line["validation_accuracy"] for line in read_metrics(run.folder)]
        if not lines or None in lines:
            raise SettingError(f"run '{run.folder}' has no F1 on held-out grids; train it with `validation=0.1`")
        curves.setdefault(_but_the_seed(run.settings), []).append(lines)
    length = (first.epochs, len(windows), runs[0].lengthened)
    names = [f"window {windows[phase_of(epoch, *length)]}" for epoch in begins]
    sides = {s.source.described.split(",")[0] for s in curves if isinstance(s.source, GridSource)}
    title = sides.pop() if len(sides) == 1 else ""
    called = dict(zip(names_of(list(curves)), curves.values(), strict=True))
    write_figure(f1_figure(called, begins[1:], names, title), file)


def grid_runs() -> list[Path]:
    """All runs, where runs lie, that were trained on grids, damaged ones aside. Raises RunError where there is none."""
    runs = []
    for folder in all_runs():
        with suppress(FoldnetError):
            runs.append(open_run(folder))
    found = [run.folder for run in runs if isinstance(run.settings.source, GridSource)]
    if not found:
        raise RunError(
            f"no run under '{runs_home()}' was trained on grids; train one with `foldnet.train(dataset='paths')`"
        )
    return found


def names_of(settings: Sequence[TrainSettings]) -> list[str]:
    """What a legend calls networks: the architecture, and whatever differs between any two of them and is not off."""
    plain = [flat(one) for one in settings]
    differing = [name for name in plain[0] if name != "arch" and len({one.get(name) for one in plain}) > 1]
    return [", ".join([one["arch"], *(_said(name, one[name]) for name in differing if one.get(name))]) for one in plain]


def _said(name: str, value: Any) -> str:
    """A setting in words."""
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {said}"


def _but_the_seed(settings: TrainSettings) -> TrainSettings:
    """What runs of one curve have in common: all but the seed, where they ran, and the form of a regulariser that is
    off."""
    form = settings.recurrence_form if settings.recurrence else "mean"
    return replace(settings, seed=0, device="auto", data_dir=None, recurrence_form=form)


def _windows(run: Run) -> tuple[int, ...]:
    """The windows of a run's phases; none where it has no such phases."""
    return tuple(getattr(run.settings.source, "windows", ()))


def _begins(run: Run) -> tuple[int, ...]:
    """The epochs with which the phases of a run begin; none where there is one phase without a name."""
    windows = _windows(run)
    return tuple(first_epochs(run.settings.epochs, len(windows), run.lengthened)) if windows else ()
