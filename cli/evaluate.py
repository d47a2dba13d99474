"""foldnet evaluate."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from foldnet.errors import SettingError
from foldnet.training.other_grids import OtherGrids
from foldnet_cli import options
from foldnet_cli.options import EitherArgument, parameters_of, with_parameters

Steps = Annotated[
    list[str] | None,
    typer.Option(help="Run a loop of a fold another number of times: stage2.loop1=5 (repeatable); 0 leaves it out."),
]
Recalibrate = Annotated[
    bool, typer.Option("--recalibrate", help="Estimate batch norm anew first, further trips on their own.")
]
Damped = Annotated[
    bool,
    typer.Option(
        "--damped", help="With --steps: a loop found with T trips that runs T' adds T / T' of what its blocks would."
    ),
]


def evaluate(
    path: EitherArgument = None,
    checkpoint: options.Checkpoint = "last",
    run: options.RunOption = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    batch_size: Annotated[int, typer.Option(min=1, metavar="<int>", help="Images a batch.")] = 128,
    steps: Steps = None,
    recalibrate: Recalibrate = False,
    damped: Damped = False,
    **grids: Any,
) -> Any:
    """Score a run's network, or a fold's loops, on the test set, or on other grids: see --dataset to --count."""
    from foldnet.verbs.evaluate import evaluate as recipe
    from foldnet_cli.outputs import taken
    from foldnet_cli.progress import watch

    return watch(
        recipe,
        taken(path),
        checkpoint=checkpoint,
        run=run,
        data_dir=data_dir,
        device=device,
        precision=precision,
        batch_size=batch_size,
        steps=parse_steps(steps or []),
        recalibrated=recalibrate,
        damped=damped,
        grids=OtherGrids(**grids) if any(value is not None for value in grids.values()) else None,
    )


def evaluate_command() -> Any:
    """`evaluate` with an option for each property of other grids."""
    return with_parameters(evaluate, parameters_of(OtherGrids).values())


def parse_steps(given: Iterable[str]) -> dict[str, int]:
    """["stage2.loop1=5"] -> {"stage2.loop1": 5}. Raises SettingError for anything else."""
    steps = {}
    for entry in (part.strip() for text in given for part in text.split(",")):
        loop, _, number = entry.rpartition("=")
        try:
            steps[loop] = int(number)
        except ValueError:
            loop = ""
        if not loop:
            raise SettingError(f"--steps '{entry}' is not LOOP=NUMBER; write stage2.loop1=5")
    return steps
