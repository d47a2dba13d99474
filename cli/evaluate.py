"""foldnet evaluate."""

from typing import Annotated, Any

import typer

from foldnet_cli.options import Checkpoint, DataDir, Device, EitherArgument, Precision


def evaluate(
    path: EitherArgument = None,
    checkpoint: Checkpoint = "last",
    data_dir: DataDir = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    batch_size: Annotated[int, typer.Option(min=1, help="Images a batch.")] = 128,
) -> Any:
    """Classify the test set with a run's network, or with a fold's loops."""
    from foldnet.recipes.evaluate import evaluate as recipe
    from foldnet_cli.progress import watching

    with watching() as observer:
        return recipe(
            path,
            checkpoint=checkpoint,
            data_dir=data_dir,
            device=device,
            precision=precision,
            batch_size=batch_size,
            observer=observer,
        )
