"""foldnet evaluate."""

from typing import Annotated, Any

import typer

from foldnet.training.other_grids import OtherGrids
from foldnet_cli.options import (
    Checkpoint,
    DataDir,
    Device,
    EitherArgument,
    Precision,
    RunOption,
    parameters_of,
    with_parameters,
)


def evaluate(
    path: EitherArgument = None,
    checkpoint: Checkpoint = "last",
    run: RunOption = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    batch_size: Annotated[int, typer.Option(min=1, metavar="<int>", help="Images a batch.")] = 128,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            help="Run a loop of a fold another number of times: stage2.loop1=5 (repeatable); 0 leaves it out."
        ),
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Estimate batch norm anew first, further trips on their own.")
    ] = False,
    damped: Annotated[
        bool,
        typer.Option(
            "--damped",
            help="With --steps: a loop found with T trips that runs T' adds T / T' of what its blocks would.",
        ),
    ] = False,
    **grids: Any,
) -> Any:
    """Score a run's network, or a fold's loops, on the test set, or on other grids: see --dataset to --count."""
    from foldnet.verbs.evaluate import evaluate as recipe
    from foldnet_cli.outputs import run_or_newest
    from foldnet_cli.parsing import parse_steps
    from foldnet_cli.progress import watching

    path = run_or_newest(path)
    with watching() as observer:
        return recipe(
            path,
            checkpoint=checkpoint,
            run=run,
            data_dir=data_dir,
            device=device,
            precision=precision,
            batch_size=batch_size,
            steps=parse_steps(steps or []),
            recalibrated=recalibrate,
            damped=damped,
            observer=observer,
            grids=OtherGrids(**grids) if any(value is not None for value in grids.values()) else None,
        )


evaluate = with_parameters(evaluate, parameters_of(OtherGrids).values())
