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
