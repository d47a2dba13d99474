"""Pictures of networks that find paths: what they mark on grids, their F1 by epoch, and how far they reach."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.bounds import BOUNDS
from foldnet.drawing.output import FIGURE_ENDINGS, NETWORKS, RUN, Output, Taken, several
from foldnet.errors import FoldnetError, RunError, SettingError, either
from foldnet.options import Option, plain, written
from foldnet.training.other_grids import GridsLike, OtherGrids

if TYPE_CHECKING:
    from foldnet.drawing.curves import ReachCurve
    from foldnet.training.runs import Run
    from foldnet.training.settings import TrainSettings
    from foldnet.verbs.trips import Reach as Reached


@dataclass(frozen=True, slots=True)
class Paths(Output):
    """Draw grids, their true paths, and what a network finds, misses and marks wrongly.

    With --curves: F1 on held-out grids against epochs, mean and band over the seeds of each network, phases marked;
    runs left out are all under --home that were trained on grids.
    """

    of, name, endings = NETWORKS, "paths.svg", FIGURE_ENDINGS
    curves: Annotated[bool, Option("Draw F1 by epoch instead (the paper's Figure 5), of all runs named.")] = False
    examples: Annotated[int, Option("How many grids to draw.", bound=BOUNDS["pictures"])] = 8
    grids: Annotated[GridsLike | None, Option(flag=None)] = None
    run: Annotated[Path | str | None, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def take(self, named: Any) -> Taken:
        """One network, the newest run where none is named; for curves the runs named, or all that were trained on
        grids."""
        paths = several(named)
        if self.curves:
            runs = paths or tuple(_grid_runs())
            said = "" if paths else f"using {', '.join(map(str, runs))}, all runs that were trained on grids"
            return Taken(runs, runs[0].parent, said, {"runs": [str(run) for run in runs]}, "figure5.svg")
        if len(paths) > 1:
            raise SettingError("grids are drawn of one network; name one run or fold, or add --curves")
        from foldnet.folding.opening import kind_of

        taken = RUN.take(paths[0] if paths else None)
        return replace(taken, shown={kind_of(taken.what): str(taken.what)})

    def write(self, what: Any, file: Path, observer: Any) -> None:
        """Raises SettingError for runs of another kind, of other phases than the first, or without held-out grids,
        RunError."""
        from foldnet.drawing.figures import write_figure

        write_figure(_f1_by_epoch(what) if self.curves else _marked_grids(self, what), file)


def _marked_grids(options: Paths, folder: Path) -> Any:
    """Grids that a run or fold was not trained on, and what it marks on them."""
    import torch

    from foldnet.data.curriculum import lengths_of
    from foldnet.drawing.grids import GridPicture, grids_figure
    from foldnet.folding.opening import open_network
    from foldnet.show.report import counted
    from foldnet.training.machine import choose_machine
    from foldnet.training.other_grids import other_grids
    from foldnet.training.session import loader_of

    model, origin, form = open_network(folder, named=options.run)
    _check_grids(origin)
    kind = asdict(options.grids or GridsLike())
    dataset, said = other_grids(origin, OtherGrids(**(kind | {"count": options.examples})))
    machine = choose_machine(options.device, "fp32")
    ((x, y),) = loader_of(dataset, dataset.test, options.examples, machine).in_order()
    with torch.no_grad():
        outputs = model.to(machine.device)(x).float()
    task = dataset.task
    scores = [task.score(counts, 1) for counts in task.counts_of_each(outputs, y).tolist()]
    marks = task.predict(outputs).cpu()
    pictures = [
        GridPicture(
            maps[1].bool().numpy(),
            wanted.numpy(),
            maps[0].nonzero().numpy(),
            marked.numpy(),
            f"{counted(length, 'step')}, {task.measure} {score:.2f}",
        )
        for maps, wanted, marked, length, score in zip(
            x.cpu(), y.cpu(), marks, lengths_of(dataset.test), scores, strict=True
        )
    ]
    return grids_figure(pictures, f"{origin.settings.arch}, {form}: {said}")


def _check_grids(run: "Run") -> None:
    """Raise SettingError for a run of other data."""
    from foldnet.data.drawn_sources import GridSource
    from foldnet.data.sources import SOURCES

    if not isinstance(run.settings.source, GridSource):
        grids = either(name for name, source in SOURCES.items() if issubclass(source, GridSource))
        raise SettingError(
            f"run '{run.folder}' was trained on {run.settings.dataset}, which has no grids; name one that was trained "
            f"on {grids}"
        )


def _grid_runs() -> list[Path]:
    """All runs, where runs lie, that were trained on grids, damaged ones aside. Raises RunError where there is none."""
    from foldnet.data.drawn_sources import GridSource
    from foldnet.store.files import runs_home
    from foldnet.training.runs import all_runs, open_run

    found = []
    for folder in all_runs():
        with suppress(FoldnetError):
            if isinstance(open_run(folder).settings.source, GridSource):
                found.append(folder)
    if not found:
        raise RunError(
            f"no run under '{runs_home()}' was trained on grids; train one with `foldnet.train(dataset='paths')`"
        )
    return found


def _f1_by_epoch(folders: Sequence[Path]) -> Any:
    """A mean and a band over the seeds of each network, phases marked: a curve for all runs that differ in their seed
    alone."""
    from foldnet.data.drawn_sources import GridSource
    from foldnet.drawing.curves import f1_figure
    from foldnet.training.checkpoint import read_metrics
    from foldnet.training.runs import open_run
    from foldnet.training.session import course_of

    runs = [open_run(folder) for folder in folders]
    first = runs[0].settings
    phases, begins = _phases(runs[0])
    curves: dict[TrainSettings, list[list[float]]] = {}
    for run in runs:
        if (run.settings.dataset, *_phases(run)) != (first.dataset, phases, begins):
            own = first.source.phases_by or "dataset"
            raise SettingError(
                f"run '{run.folder}' has other phases than '{runs[0].folder}'; draw runs of the same `{own}` together"
            )
        lines = [line["validation_accuracy"] for line in read_metrics(run.folder)]
        if not lines or None in lines:
            raise SettingError(f"run '{run.folder}' has no F1 on held-out grids; train it with `validation=0.1`")
        curves.setdefault(_but_the_seed(run.settings), []).append(lines)
    names = [phases[course_of(runs[0]).phase(epoch)] for epoch in begins]
    sides = {s.source.described.split(",")[0] for s in curves if isinstance(s.source, GridSource)}
    title = sides.pop() if len(sides) == 1 else ""
    return f1_figure(dict(zip(names_of(list(curves)), curves.values(), strict=True)), begins[1:], names, title)


def names_of(settings: Sequence["TrainSettings"]) -> list[str]:
    """What a legend calls networks: the architecture, and whatever differs between any two of them and is not off."""
    from foldnet.training.settings import flat

    plain = [flat(one) for one in settings]
    differing = [name for name in plain[0] if name != "arch" and len({one.get(name) for one in plain}) > 1]
    said = ([f"{name.replace('_', ' ')} {written(one[name])}" for name in differing if one.get(name)] for one in plain)
    return [", ".join([one["arch"], *more]) for one, more in zip(plain, said, strict=True)]


def _but_the_seed(settings: "TrainSettings") -> "TrainSettings":
    """What runs of one curve have in common: all but the seed, where they ran, and the form of a regulariser that is
    off."""
    form = settings.recurrence_form if settings.recurrence else "mean"
    return replace(settings, seed=0, device="auto", data_dir=None, recurrence_form=form)


def _phases(run: "Run") -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The names of a run's phases and the epochs with which they begin; none where there is one phase without a
    name."""
    from foldnet.training.session import course_of

    names = run.settings.source.phase_names
    return names, course_of(run).restarts if names else ()


@dataclass(frozen=True, slots=True)
class Reach(Output):
    """Measure and draw how far networks that find paths reach: F1 and grids wholly right, by steps and by length of
    path.

    Runs and folds are scored on the same grids; of a fold the loop that runs most often is varied.
    """

    of, name, endings, watched = NETWORKS, "reach.svg", FIGURE_ENDINGS, True
    trips: Annotated[
        tuple[int, ...] | None,
        Option("Trips to try: 10,20,40.  [default: a quarter to three times what was found]", suggested=("10,20,40",)),
    ] = None
    recalibrate: Annotated[bool, Option("Also measure with batch norm estimated anew, trip by trip.")] = False
    grids: Annotated[OtherGrids | None, Option(flag=None)] = None
    run: Annotated[Path | str | None, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def write(self, what: tuple[Path, ...], file: Path, observer: Any) -> Any:
        """The report that was drawn. Raises what `reach` raises."""
        from foldnet.drawing.curves import reach_figure
        from foldnet.drawing.figures import write_figure
        from foldnet.verbs.trips import reach

        options = plain(self)
        report = reach(what, recalibrated=options.pop("recalibrate"), **options, observer=observer)
        write_figure(reach_figure(list(map(_curve, report.networks)), report.data), file)
        return report


def _curve(network: "Reached") -> "ReachCurve":
    """One network for the picture; lengths in bins stand at their middle."""
    from foldnet.drawing.curves import ReachCurve
    from foldnet.training.evaluate import binned

    points = {
        again: tuple((point.steps, point.score, point.whole) for point in network.points if point.recalibrated == again)
        for again in (False, True)
    }
    as_found = next((point.steps for point in network.points if point.trips == network.found), None)
    path = Path(network.path)
    name = path.name if network.form != "looped" else f"{path.parent.name}/{path.name}"
    return ReachCurve(
        f"{name} ({network.arch}, {network.form})",
        points[False],
        points[True],
        as_found if network.found is not None else None,
        tuple(((part.shortest + part.longest) / 2, part.f1, part.whole) for part in binned(network.by_length)),
    )
