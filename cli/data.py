"""foldnet data: one command a kind of data that foldnet makes itself."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet_cli.guard import add_command
from foldnet_cli.options import Force

app = typer.Typer(help="Make data sets to keep.", no_args_is_help=True)

Grid = Annotated[int, typer.Option(help="Side of a grid in cells.")]
Window = Annotated[int, typer.Option(help="Each query lies in a window of this side (odd) around the other.")]
Obstacles = Annotated[float, typer.Option(help="Probability that a cell is an obstacle.")]
Target = Annotated[str, typer.Option(help="What is to be found: union of all shortest paths, or one of them.")]
MazeSize = Annotated[int, typer.Option("--size", help="Side of a maze in cells, walls included (odd).")]
Count = Annotated[int, typer.Option(help="How many grids.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same grids, on every machine.")]
Phase = Annotated[int, typer.Option(help="Phase of the curriculum, from 1: each draws numbers of its own.")]
Part = Annotated[str, typer.Option("--split", help="train, validation or test.")]
Npz = Annotated[
    Path | None, typer.Option("-o", "--out", "--output", help="NumPy file (.npz) to write.  [default: a new one here]")
]


def paths(
    count: Count = 1000,
    grid: Grid = 32,
    window: Window = 13,
    obstacles: Obstacles = 0.1,
    target: Target = "union",
    seed: Seed = 0,
    phase: Phase = 1,
    split: Part = "train",
    output: Npz = None,
    force: Force = False,
) -> Any:
    """Grids with random obstacles, two queries, and the cells on shortest paths between them.

    The file holds obstacles (n, h, w), queries (n, 2, 2) as (row, column) and target (n, h, w).
    """
    from foldnet.verbs.data import write_paths

    return write_paths(
        output,
        count=count,
        grid=grid,
        window=window,
        obstacles=obstacles,
        target=target,
        seed=seed,
        phase=phase,
        split=split,
        force=force,
    )


def mazes(
    count: Count = 1000,
    size: MazeSize = 9,
    seed: Seed = 0,
    phase: Phase = 1,
    split: Part = "train",
    output: Npz = None,
    force: Force = False,
) -> Any:
    """Mazes in which exactly one path joins any two free cells, two queries, and the cells of their path.

    The file is like that of `foldnet data paths`.
    """
    from foldnet.verbs.data import write_mazes

    return write_mazes(output, count=count, size=size, seed=seed, phase=phase, split=split, force=force)


for command in (paths, mazes):
    add_command(app, command)
