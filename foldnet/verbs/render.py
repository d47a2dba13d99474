"""foldnet render: pictures of a run or a fold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from foldnet.drawing.graph import program_graph
from foldnet.drawing.graph_files import write_dot, write_graph
from foldnet.drawing.lsm_files import write_history, write_lsm
from foldnet.drawing.sharing import sharing_dot
from foldnet.errors import NothingToFold
from foldnet.folding.folds import load_fold
from foldnet.folding.looped import LoopedNetwork, gain_slots
from foldnet.folding.opening import fold_folder
from foldnet.sharing.share import SharedNetwork
from foldnet.store.artifact import refuse_linked
from foldnet.store.files import free_name, refuse_existing
from foldnet.training.recurrence import banks_of
from foldnet.training.runs import newest_run, open_run
from foldnet.typed import checked
from foldnet.verbs.lsm import LsmReport, lsm_history


@dataclass(frozen=True, slots=True)
class GroupSharing:
    """Who mixes what in one group: coefficients (L, K)."""

    name: str
    layers: tuple[str, ...]
    coefficients: NDArray[np.float64]


@checked
def draw(
    path: Path | str | nn.Module | None = None,
    out: Path | str | None = None,
    *,
    residual: bool = False,
    force: bool = False,
) -> Path:
    """Draw the graph of a fold (default: the newest fold of the newest run), by the ending of `out` (default: graph.svg there).

    A looped network in memory is drawn too, by default into the working directory.

    .svg, .png and .pdf need Graphviz's dot; .dot, .graphml and .json (networkx node-link) do not. `residual` adds the
    residual connections. Returns the file. Raises RunError, OutputError, SettingError, MissingTool.
    """
    if isinstance(path, nn.Module):
        if not isinstance(path, LoopedNetwork):
            raise NothingToFold(
                "the network does not loop, so there are no loops to draw; fold it first with `foldnet.fold`"
            )
        target = target_of(out, Path("graph.svg"), force)
        looped, title = path, "network"
    else:
        folder = fold_folder(path)
        fold, looped = load_fold(folder)
        target, title = target_of(out, folder / "graph.svg", force), fold.arch
    gains = {layer: gain[step].item() for gain, step, layer in gain_slots(looped)}
    write_graph(program_graph(looped.program, gains=gains, residual=residual), target, title)
    return target


def draw_sharing(
    path: Path | str | None = None,
    out: Path | str | None = None,
    *,
    checkpoint: str = "last",
    force: bool = False,
) -> Path:
    """Draw the paper's Figure 1 for a soft run: layers, templates, and coefficients as weighted edges.

    Returns the file. Raises RunError, NothingToFold for a plain run, OutputError, SettingError, MissingTool.
    """
    run = open_run(Path(path) if path is not None else newest_run())
    target = target_of(out, run.folder / "sharing.svg", force)
    model, _ = run.load(checkpoint)
    if not isinstance(model, SharedNetwork):
        raise NothingToFold(
            f"run '{run.folder}' is plain, so nothing is shared; train a soft network such as swrn-28-2-4"
        )
    groups = [
        GroupSharing(group.name, group.layers, bank.coefficients.detach().double().numpy())
        for group, bank in zip(model.plan.groups, banks_of(model).values(), strict=True)
    ]
    write_dot(sharing_dot(groups, run.settings.arch), target)
    return target


def draw_lsm(report: LsmReport, out: Path | str | None = None, *, force: bool = False) -> Path:
    """Write a run's matrices by the ending of `out` (default: lsm.svg in the run): a figure, CSV, JSON, NPY or NPZ.

    Returns the file. Raises OutputError, SettingError.
    """
    target = target_of(out, Path(report.run or ".") / "lsm.svg", force)
    title = f"{report.arch or 'network'}, {report.metric}, epoch {report.epoch}"
    write_lsm(report.groups, target, title=title, document=report.to_json())
    return target


def draw_history(path: Path | str | None = None, out: Path | str | None = None, *, force: bool = False) -> Path:
    """Draw how the matrices came to be, the paper's Figure 8 (default: history.svg in the run). Returns the file."""
    run = open_run(Path(path) if path is not None else newest_run())
    groups = lsm_history(run.folder)
    target = target_of(out, run.folder / "history.svg", force)
    write_history(groups, target, title=run.settings.arch)
    return target


def target_of(out: Path | str | None, default: Path, force: bool) -> Path:
    """Where the picture goes: what the user names must be free, what foldnet names is. Raises OutputError."""
    if out is None:
        refuse_linked(default.parent)
        return default if force else free_name(default)
    refuse_existing(Path(out), force=force)
    return Path(out)
