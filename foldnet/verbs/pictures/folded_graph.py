"""The folded network as a graph: owners as nodes, loops as arrows."""

from pathlib import Path

from torch import nn

from foldnet.drawing.graph import program_graph
from foldnet.drawing.graph_files import write_graph
from foldnet.errors import NothingToFold
from foldnet.folding.folds import load_fold
from foldnet.folding.looped import LoopedNetwork, gain_slots


def write(fold: Path | nn.Module, file: Path, *, residual: bool) -> None:
    """Draw a fold, or a looped network in memory, with its `residual` connections or without.

    Raises NothingToFold for a network that does not loop, RunError, MissingTool, OutputError.
    """
    if isinstance(fold, Path):
        opened, looped = load_fold(fold)
        title = opened.arch
    elif isinstance(fold, LoopedNetwork):
        looped, title = fold, "network"
    else:
        raise NothingToFold(
            "the network does not loop, so there are no loops to draw; fold it first with `foldnet.fold`"
        )
    gains = {layer: gain[step].item() for gain, step, layer in gain_slots(looped)}
    write_graph(program_graph(looped.program, gains=gains, residual=residual), file, title)
