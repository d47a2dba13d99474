"""foldnet render paths and reach: grids with what a network marked, F1 as training went on, and how far networks reach."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from foldnet.bounds import check_number
from foldnet.config import GRID_PRESETS
from foldnet.data.curriculum import lengths_of
from foldnet.data.phases import first_epochs, phase_of
from foldnet.data.tasks import CELLS
from foldnet.drawing.f1_curves import f1_figure
from foldnet.drawing.figures import write_figure
from foldnet.drawing.grids import GridPicture, grids_figure
from foldnet.drawing.reach import ReachCurve, reach_figure
from foldnet.errors import FoldnetError, RunError, SettingError
from foldnet.folding.opening import open_network
from foldnet.store.home import runs_home
from foldnet.training.by_length import OtherGrids, binned, other_grids
from foldnet.training.loading import loader_of
from foldnet.training.machine import choose_machine
from foldnet.training.runs import Run, all_runs, newest_run, open_run, read_metrics
from foldnet.verbs.reach import Reach, ReachPoint, ReachReport
from foldnet.verbs.render import target_of

EXAMPLES = 8


@torch.no_grad()
def draw_paths(
    path: Path | str | None = None,
    out: Path | str | None = None,
    *,
    examples: int = EXAMPLES,
    grids: OtherGrids | None = None,
    run: Path | str | None = None,
    device: str = "auto",
    force: bool = False,
) -> Path:
    """Draw grids that a run or fold (default: the newest run) was not trained on, and what it marks (default: paths.svg there).

    `run` names the run of a fold that does not lie inside it. Returns the file. Raises SettingError for fewer than one example or a run of another kind, RunError, OutputError.
    """
    check_number("pictures", examples, setting="examples")
    folder = Path(path) if path is not None else newest_run()
    model, origin, form = open_network(folder, named=run)
    dataset, said = other_grids(origin, replace(grids or OtherGrids(), count=examples))
    target = target_of(out, folder / "paths.svg", force)
    machine = choose_machine(device, "fp32")
    model.to(machine.device)
    ((x, y),) = loader_of(dataset, dataset.test, examples, machine).in_order()
    outputs = model(x).float()
    scores = [CELLS.score(counts, 1) for counts in CELLS.counts_of_each(outputs, y).tolist()]
    pictures = [
        GridPicture(maps[1].bool().numpy(), wanted.numpy(), maps[0].nonzero().numpy(), marked.numpy(), caption)
        for maps, wanted, marked, caption in zip(
            x.cpu(),
            y.cpu(),
            CELLS.predict(outputs).cpu(),
            [
                f"{length} step{'s' if length > 1 else ''}, F1 {f1:.2f}"
                for length, f1 in zip(lengths_of(dataset.test), scores, strict=True)
            ],
            strict=True,
        )
    ]
    write_figure(grids_figure(pictures, f"{origin.settings.arch}, {form}: {said}"), target)
    return target


def draw_curves(paths: Sequence[Path | str] = (), out: Path | str | None = None, *, force: bool = False) -> Path:
    """Draw the paper's Figure 5 from runs (default: all that were trained on grids): F1 on held-out grids by epoch.

    Runs that differ in their seed alone are one curve, with a band. Default: figure5.svg beside the first run. Returns the file.
    Raises SettingError for runs of another kind, of other phases than the first, or without held-out grids, RunError, OutputError.
    """
    runs = [open_run(Path(path)) for path in paths] or grid_runs()
    first = runs[0].settings
    curves: dict[str, list[list[float]]] = {}
    for run in runs:
        if (run.settings.dataset, run.settings.windows) != (first.dataset, first.windows):
            raise SettingError(
                f"run '{run.folder}' has other phases than '{runs[0].folder}'; draw runs of the same `windows` together"
            )
        lines = [line["validation_accuracy"] for line in read_metrics(run.folder)]
        if not lines or None in lines:
            raise SettingError(f"run '{run.folder}' has no F1 on held-out grids; train it with `validation=0.1`")
        curves.setdefault(_name_of(run), []).append(lines)
    target = target_of(out, runs[0].folder.parent / "figure5.svg", force)
    windows = first.windows or ()
    length = (first.epochs, len(windows), runs[0].lengthened)
    begins = first_epochs(*length) if windows else ()
    names = [f"window {windows[phase_of(epoch, *length)]}" for epoch in begins]
    title = f"{first.grid}x{first.grid} cells" if first.grid is not None else f"{first.size}x{first.size} mazes"
    write_figure(f1_figure(curves, begins[1:], names, title), target)
    return target


def grid_runs() -> list[Run]:
    """All runs, where runs lie, that were trained on grids, damaged ones aside. Raises RunError where there is none."""
    runs = []
    for folder in all_runs():
        with suppress(FoldnetError):
            runs.append(open_run(folder))
    runs = [run for run in runs if run.settings.dataset in GRID_PRESETS]
    if not runs:
        raise RunError(
            f"no run under '{runs_home()}' was trained on grids; train one with `foldnet.train(dataset='paths')`"
        )
    return runs


def draw_reach(report: ReachReport, out: Path | str | None = None, *, force: bool = False) -> Path:
    """Draw a report of reach (default: reach.svg beside the first network). Returns the file. Raises OutputError, SettingError."""
    target = target_of(out, Path(report.networks[0].path).parent / "reach.svg", force)
    write_figure(reach_figure([_curve(network) for network in report.networks], report.data), target)
    return target


def _name_of(run: Run) -> str:
    """What tells a run from those that do not differ from it by the seed alone."""
    settings = run.settings
    name = settings.arch
    if settings.recurrence:
        name += f", recurrence {settings.recurrence:g} ({settings.recurrence_form})"
    if settings.progressive:
        name += f", progressive {settings.progressive:g}"
    return name


def _curve(network: Reach) -> ReachCurve:
    """One network for the picture; lengths in bins stand at their middle."""

    def points(recalibrated: bool) -> tuple[tuple[int, float, float], ...]:
        chosen: list[ReachPoint] = [point for point in network.points if point.recalibrated == recalibrated]
        return tuple((point.steps, point.f1, point.whole) for point in chosen)

    as_found = next((point.steps for point in network.points if point.trips == network.found), None)
    path = Path(network.path)
    name = path.name if network.form != "looped" else f"{path.parent.name}/{path.name}"
    return ReachCurve(
        f"{name} ({network.arch}, {network.form})",
        points(False),
        points(True),
        as_found if network.found is not None else None,
        tuple(((part.shortest + part.longest) / 2, part.f1, part.whole) for part in binned(network.by_length)),
    )
