"""The folded network as a graph: owners as nodes, loops as arrows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foldnet.drawing.dot import write_graph
from foldnet.drawing.graph import program_graph
from foldnet.errors import NothingToFold
from foldnet.folding.folds import Fold, read_fold

if TYPE_CHECKING:
    from torch import nn

    from foldnet.program.data import Program


def write(fold: Path | nn.Module, file: Path, *, residual: bool) -> None:
    """Draw a fold, or a looped network in memory, with its `residual` connections or without.

    Raises NothingToFold for a network that does not loop, RunError, MissingTool, OutputError.
    """
    if isinstance(fold, Path):
        opened, gains = read_fold(fold, Fold.gains)
        program, title = opened.program, opened.arch
    else:
        program, gains = _of_network(fold)
        title = "network"
    write_graph(program_graph(program, gains=gains, residual=residual), file, title)


def _of_network(network: nn.Module) -> tuple[Program, dict[str, float]]:
    """The program of a network in memory, and its gains by layer."""
    from foldnet.folding.looped import LoopedNetwork, gain_slots

    if not isinstance(network, LoopedNetwork):
        raise NothingToFold(
            "the network does not loop, so there are no loops to draw; fold it first with `foldnet.fold`"
        )
    return network.program, {layer: gain[step].item() for gain, step, layer in gain_slots(network)}
