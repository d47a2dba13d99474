"""Options that more than one command takes, each written once."""

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[
    Path | None,
    typer.Argument(metavar="RUN", help="Run folder; left out, the newest under --home.", show_default=False),
]
FoldArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLD",
        help="Fold folder, or a run for its newest fold; left out, the newest run's.",
        show_default=False,
    ),
]
EitherArgument = Annotated[
    Path | None,
    typer.Argument(metavar="RUN or FOLD", help="Run or fold folder; left out, the newest run.", show_default=False),
]
NetworksArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="RUN or FOLD", help="Run and fold folders.", show_default=False),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--out", "--output", help="File to write; its ending chooses the format.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
ForceTwice = Annotated[
    int,
    typer.Option(
        "--force",
        count=True,
        metavar="<bool>",
        show_default=False,
        help="Replace the run or fold that is there; twice: with folds and notes inside it.",
    ),
]
Checkpoint = Annotated[str, typer.Option(help="Which weights of the run: last or best (by validation).")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="RUN", help="The run of a fold that does not lie inside it.", show_default=False),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where the dataset lies, for cifar10, cifar100 and folder; no run keeps it.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16 (auto: bf16 where the hardware has it).")]
Compile = Annotated[str, typer.Option(help="auto, on or off: torch.compile (auto: on a GPU).")]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, metavar="<int>", help="CPU threads.  [default: torch's]")]
Metric = Annotated[
    str | None,
    typer.Option(help="coefficients or weights.  [default: coefficients; for a plain network weights]"),
]
Grid = Annotated[int, typer.Option(help="Side of a grid in cells.")]
Window = Annotated[int, typer.Option(help="Each query lies in a window of this side (odd) around the other.")]
Obstacles = Annotated[float, typer.Option(help="Probability that a cell is an obstacle.")]
Target = Annotated[str, typer.Option(help="What is to be found: union of all shortest paths, or one of them.")]
MazeSize = Annotated[int, typer.Option("--size", help="Side of a maze in cells, walls included (odd).")]
# Grids that a network was not trained on.
OtherDataset = Annotated[str | None, typer.Option(help="paths or mazes.  [default: the run's]")]
OtherGrid = Annotated[int | None, typer.Option(help="Side of other grids of paths.  [default: the run's]")]
OtherWindow = Annotated[int | None, typer.Option(help="Window (odd) of their queries.  [default: the run's last]")]
OtherObstacles = Annotated[float | None, typer.Option(help="Probability of their obstacles.  [default: the run's]")]
OtherTarget = Annotated[str | None, typer.Option(help="union or one.  [default: the run's]")]
OtherSize = Annotated[int | None, typer.Option(help="Side of other mazes (odd).  [default: the run's]")]
OtherCount = Annotated[int | None, typer.Option(help="How many other grids.  [default: 1000]")]
