"""Pictures of one run: who mixes what, layer similarity matrices and how they came to be, and the curve of a sweep."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.drawing.output import DOT_ENDINGS, FIGURE_ENDINGS, HISTORY_ENDINGS, LSM_ENDINGS, RUN, Output
from foldnet.errors import NothingToFold, RunError
from foldnet.options import Option, plain

if TYPE_CHECKING:
    from foldnet.verbs.lsm import LsmReport


@dataclass(frozen=True, slots=True)
class Sharing(Output):
    """Draw who mixes what (the paper's Figure 1): layers, templates, coefficients as weighted edges."""

    of, name, endings = RUN, "sharing.svg", DOT_ENDINGS
    checkpoint: Annotated[str, Option()] = "last"

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """Raises RunError, NothingToFold for a plain run, MissingTool."""
        from foldnet.drawing.dot import write_dot
        from foldnet.drawing.sharing import SharedGroup, sharing_dot
        from foldnet.sharing.share import SharedNetwork
        from foldnet.training.recurrence import banks_of
        from foldnet.training.runs import open_run

        run = open_run(what)
        model, _ = run.load(self.checkpoint)
        if not isinstance(model, SharedNetwork):
            raise NothingToFold(
                f"run '{run.folder}' is plain, so nothing is shared; train a soft network such as swrn-28-2-4"
            )
        groups = [
            SharedGroup(group.name, group.layers, bank.coefficients.detach().double().numpy())
            for group, bank in zip(model.plan.groups, banks_of(model).values(), strict=True)
        ]
        write_dot(sharing_dot(groups, run.settings.arch), file)


@dataclass(frozen=True, slots=True)
class Lsm(Output):
    """Draw the layer similarity matrices (white is 1, as in the paper's Figure 2)."""

    of, name, endings = RUN, "lsm.svg", LSM_ENDINGS
    metric: Annotated[str | None, Option()] = None
    checkpoint: Annotated[str, Option()] = "last"

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """A figure, CSV, JSON, NPY or NPZ. Raises RunError, SettingError, NothingToFold."""
        from foldnet.verbs.lsm import lsm

        write_matrices(lsm(what, **plain(self)), file)


def write_matrices(report: "LsmReport", file: Path) -> None:
    """The same of what was measured."""
    from foldnet.drawing.lsm_files import write_lsm

    title = f"{report.arch or 'network'}, {report.metric}, epoch {report.epoch}"
    write_lsm(report.groups, file, title=title, document=report.to_json())


@dataclass(frozen=True, slots=True)
class History(Output):
    """Draw how the layer similarity matrices came to be (the paper's Figure 8): `foldnet lsm --history`."""

    of, name, endings = RUN, "history.svg", HISTORY_ENDINGS

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """A figure, NPY or NPZ. Raises RunError."""
        from foldnet.drawing.lsm_files import write_history
        from foldnet.training.runs import open_run
        from foldnet.verbs.lsm import lsm_history

        write_history(lsm_history(what), file, title=open_run(what).settings.arch)


@dataclass(frozen=True, slots=True)
class Sweep(Output):
    """Draw the curve that `foldnet fold --sweep` measured: accuracy against what is stored."""

    of, name, endings = RUN, "sweep.svg", FIGURE_ENDINGS

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """Raises RunError where there is no curve yet."""
        from foldnet.choosing.sweep_file import SWEEP_FILE, read_sweep
        from foldnet.drawing.figures import write_figure
        from foldnet.drawing.sweep_figure import sweep_figure
        from foldnet.store.codec import from_plain
        from foldnet.training.runs import open_run
        from foldnet.verbs.sweep import SweepReport

        run = open_run(what)
        if not (what / SWEEP_FILE).is_file():
            raise RunError(f"run '{what}' has no {SWEEP_FILE}; make it with `foldnet.sweep({str(what)!r})`")
        try:
            sweep = from_plain(SweepReport, read_sweep(run))
            knees = {unit: sweep.units[unit][knee.point] for unit, knee in sweep.knee.items()}
        except (ValueError, KeyError, IndexError) as error:
            raise RunError(f"'{what / SWEEP_FILE}' is not a sweep ({error}); make it again") from None
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
