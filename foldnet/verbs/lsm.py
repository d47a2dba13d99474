"""foldnet lsm: which layers of a network came to be alike."""

from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foldnet.analysis.chance import GroupLsm
from foldnet.analysis.choices import METRICS
from foldnet.analysis.similarity import coefficient_similarity, disagreements
from foldnet.bounds import checked
from foldnet.errors import RunError
from foldnet.folding.groups import GroupAlgebra, check_metric, groups_of, judged_together
from foldnet.folding.settings import DEFAULT_THRESHOLD
from foldnet.sharing.share import SharedNetwork
from foldnet.show.report import Report, Table
from foldnet.training.checkpoint import load_coefficients
from foldnet.training.runs import newest_run, open_run
from foldnet.zoo.family import runs_code


@dataclass(frozen=True, slots=True)
class LsmReport(Report):
    """What `foldnet lsm` says."""

    run: str | None
    arch: str | None
    metric: str
    checkpoint: str | None
    epoch: int | None
    groups: tuple[GroupLsm, ...]

    def parts(self) -> tuple[Table]:
        """A row for each group: the largest similarity beside what chance shows."""
        columns = ("group", "layers", "templates", "most alike", "chance: mean", "expected largest", "95 % below")
        rows = tuple(
            (one.name, len(one.layers), one.templates, one.max_off_diagonal, *astuple(one.chance)[:3])
            for one in self.groups
        )
        return (Table(f"{self.arch or 'network'}, similarity of {self.metric}", columns, rows),)

    def pictures(self) -> tuple[bytes, ...]:
        """The matrices, as `foldnet lsm -o FILE.svg` draws them."""
        from foldnet.drawing.figures import figure_bytes
        from foldnet.drawing.heatmaps import lsm_figure

        return (figure_bytes(lsm_figure(self.groups), ".svg"),)


@runs_code
@checked
def lsm(
    source: Path | str | nn.Module | None = None, *, metric: str | None = None, checkpoint: str = "last"
) -> LsmReport:
    """The layer similarity matrices of a run folder or of a network in memory (default: the newest run).

    `metric` is "coefficients" (the paper's, |cos| of two layers' coefficients; default for soft networks) or "weights"
    (|cos| of the weights that they give; the only one for plain networks).
    Source: Savarese & Maire 2019, section 3.2. Raises RunError, SettingError, NothingToFold.
    """
    if isinstance(source, nn.Module):
        return _measured(source, metric)
    run = open_run(Path(source) if source is not None else newest_run())
    model, progress = run.load(checkpoint)
    report = _measured(model, metric)
    return replace(report, run=str(run.folder), arch=run.settings.arch, checkpoint=checkpoint, epoch=progress.epoch)


def lsm_history(folder: Path | str | None = None) -> dict[str, NDArray[np.float64]]:
    """The matrices of every epoch of a soft run, by coefficients: (epochs + 1, L, L) a group.

    The first is that before training. Raises RunError where there are none.
    """
    run = open_run(Path(folder) if folder is not None else newest_run())
    with torch.device("meta"):
        network = run.blueprint.build()
    if not isinstance(network, SharedNetwork):
        raise RunError(f"run '{run.folder}' keeps no coefficients; only soft networks have them, such as swrn-28-2-4")
    history = load_coefficients(run.folder)
    expected = {group.name: (len(group.layers), group.templates) for group in network.plan.groups}
    if {name: tuple(rows.shape[1:]) for name, rows in history.items()} != expected:
        raise RunError(f"'{run.folder / 'coefficients.safetensors'}' does not fit the network; it is another run's")
    return {
        name: np.stack([coefficient_similarity(rows) for rows in history[name].double().numpy()]) for name in expected
    }


def _measured(model: nn.Module, metric: str | None) -> LsmReport:
    """Every group of a network, measured."""
    chosen, algebra = check_metric(metric, model), groups_of(model)
    together = judged_together(algebra)
    groups = tuple(_measure(entry, chosen, together) for entry in algebra)
    return LsmReport(None, None, chosen, None, None, groups)


def _measure(algebra: GroupAlgebra, metric: str, together: int) -> GroupLsm:
    """One of so many groups by one metric, compared with the other."""
    matrix, layers = algebra.similarity(metric), algebra.group.layers
    other = next(name for name in METRICS if name != metric)
    differing = [] if algebra.plain else disagreements(matrix, algebra.similarity(other), DEFAULT_THRESHOLD)
    return GroupLsm(
        algebra.group.name,
        layers,
        0 if algebra.plain else algebra.group.templates,
        matrix,
        algebra.chance(metric, together),
        tuple((layers[i], layers[j]) for i, j in differing),
    )
