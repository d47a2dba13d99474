"""foldnet fold."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet_cli.options import Checkpoint, DataDir, Device, ForceTwice, Metric, RunArgument


def fold(
    run: RunArgument = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="Similarity at which layers are tied: 0.95, stage2=0.9 (may be repeated), chance, what 95 % of "
            "untrained networks stay below, or auto, the knee of the sweep.  [default: 0.95]"
        ),
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(help='JSON file of your own clusters: {"stage2": [["layer", "layer"], ...]}.'),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Fold as far as this many points of validation accuracy allow, such as 0.5.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Fold to this size of the whole network: 12M parameters, or 12MB.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Only draw the curve: every merge, judged on validation data.")
    ] = False,
    groups: Annotated[str | None, typer.Option(help="Fold only these groups: stage2,stage3.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Layer that is never tied (may be repeated).")] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="Attribute of blocks that keeps none apart, such as an index that changes nothing (may be repeated). "
            "The fold is refused where it does change something."
        ),
    ] = None,
    metric: Metric = None,
    unit: Annotated[str, typer.Option(help="Tie layer by layer, or whole blocks: layer or block.")] = "layer",
    tie: Annotated[str, typer.Option(help="gain (signed lengths kept), signed, or mean (naive).")] = "gain",
    linkage: Annotated[str, typer.Option(help="complete, average or single.")] = "complete",
    checkpoint: Checkpoint = "last",
    finetune: Annotated[int, typer.Option(min=0, metavar="<int>", help="Epochs of training on what is stored.")] = 0,
    finetune_lr: Annotated[
        float | None, typer.Option(help="Learning rate at which fine-tuning starts.  [default: a fifth of the run's]")
    ] = None,
    distill: Annotated[
        bool, typer.Option("--distill/--no-distill", help="Let the soft network teach while fine-tuning.")
    ] = True,
    control: Annotated[
        bool, typer.Option("--control", help="Also train the soft network for as many epochs, to compare.")
    ] = False,
    no_shares: Annotated[
        bool, typer.Option("--no-shares", help="Do not measure each tied layer's share of the added validation loss.")
    ] = False,
    no_evaluate: Annotated[
        bool, typer.Option("--no-evaluate", help="Touch no data: no accuracies, batch norm as it was.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, but write nothing.")] = False,
    data_dir: DataDir = None,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Fold folder to make.  [default: a new one inside the run]")] = None,
    force: ForceTwice = 0,
) -> Any:
    """Tie similar layers of a soft run and fold the network into loops that really run.

    Prints the program, what is stored, how many untrained networks would merge as much, and the test accuracy before
    and after.
    """
    from foldnet.verbs.fold import fold as recipe
    from foldnet.verbs.sweep import sweep as sweep_recipe
    from foldnet_cli.parsing import names, parse_thresholds, refuse_together
    from foldnet_cli.progress import watching
    from foldnet_cli.taken import run_or_newest

    overall, single = parse_thresholds(threshold or [])
    how = {
        "groups": names(groups),
        "keep": tuple(keep or ()),
        "ignore": tuple(ignore or ()),
        "metric": metric,
        "tie": tie,
        "linkage": linkage,
        "checkpoint": checkpoint,
    }
    picking = {"threshold": overall, "thresholds": single, "max_drop": max_drop, "budget": budget}
    run = run_or_newest(run)
    with watching() as observer:
        if sweep:
            others = {"clusters": clusters, "finetune": finetune or None, "control": control, "out": out}
            others |= {"no_evaluate": no_evaluate, "unit": unit if unit != "layer" else None}
            refuse_together("--sweep", picking | others)
            return sweep_recipe(run, data_dir=data_dir, device=device, written=not dry_run, observer=observer, **how)
        if no_evaluate:
            auto = "auto" if overall == "auto" else None
            refuse_together(
                "--no-evaluate",
                {"max_drop": max_drop, "budget": budget, "threshold": auto, "finetune": finetune or None},
            )
        return recipe(
            run,
            out=out,
            force=force,
            dry_run=dry_run,
            evaluated=not no_evaluate,
            data_dir=data_dir,
            device=device,
            observer=observer,
            clusters=None if clusters is None else str(clusters),
            unit=unit,
            finetune=finetune,
            finetune_lr=finetune_lr,
            distill=distill,
            control=control,
            shares=not no_shares,
            **picking,
            **how,
        )
