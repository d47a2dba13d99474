"""foldnet fold."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet_cli.options import Checkpoint, DataDir, Device, Force, Metric, RunArgument


def fold(
    run: RunArgument = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="Similarity at which layers are tied: 0.95, or stage2=0.9 (may be repeated).  [default: 0.95]"
        ),
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(help='JSON file of your own clusters: {"stage2": [["layer", "layer"], ...]}.'),
    ] = None,
    groups: Annotated[str | None, typer.Option(help="Fold only these groups: stage2,stage3.")] = None,
    metric: Metric = None,
    unit: Annotated[str, typer.Option(help="Tie layer by layer, or whole blocks: layer or block.")] = "layer",
    tie: Annotated[str, typer.Option(help="gain (signed lengths kept), signed, or mean (naive).")] = "gain",
    linkage: Annotated[str, typer.Option(help="complete, average or single.")] = "complete",
    checkpoint: Checkpoint = "last",
    no_evaluate: Annotated[
        bool, typer.Option("--no-evaluate", help="Touch no data: no accuracies, batch norm as it was.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, but write nothing.")] = False,
    data_dir: DataDir = None,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Fold folder to make.  [default: a new one inside the run]")] = None,
    force: Force = False,
) -> Any:
    """Tie similar layers of a soft run and fold the network into loops that really run.

    Prints the program, what is stored, and the test accuracy before and after.
    """
    from foldnet.recipes.fold import fold as recipe
    from foldnet_cli.parsing import parse_thresholds
    from foldnet_cli.progress import watching

    overall, single = parse_thresholds(threshold or [])
    with watching() as observer:
        return recipe(
            run,
            out=out,
            force=force,
            dry_run=dry_run,
            evaluated=not no_evaluate,
            data_dir=data_dir,
            device=device,
            observer=observer,
            **({} if overall is None else {"threshold": overall}),
            thresholds=single,
            clusters=None if clusters is None else str(clusters),
            groups=tuple(name.strip() for name in groups.split(",")) if groups else (),
            metric=metric,
            unit=unit,
            tie=tie,
            linkage=linkage,
            checkpoint=checkpoint,
        )
