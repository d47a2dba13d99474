"""foldnet fold: most of its options are the fields of FoldSettings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.folding.settings import FoldSettings
from foldnet_cli.options import DataDir, Device, ForceTwice, Metric, RunArgument, parameters_of, with_parameters

Threshold = Annotated[
    list[str] | None,
    typer.Option(
        help="Similarity at which layers are tied: 0.95, stage2=0.9 (may be repeated), chance, what 95 % of "
        "untrained networks stay below, or auto, the knee of the sweep.  [default: 0.95]"
    ),
]
Sweep = Annotated[bool, typer.Option("--sweep", help="Only draw the curve: every merge, judged on validation data.")]
Groups = Annotated[str | None, typer.Option(help="Fold only these groups: stage2,stage3.")]
Keep = Annotated[list[str] | None, typer.Option(help="Layer that is never tied (may be repeated).")]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        help="Attribute of blocks that keeps none apart, such as an index that changes nothing (may be repeated). "
        "The fold is refused where it does change something."
    ),
]
NoShares = Annotated[
    bool, typer.Option("--no-shares", help="Do not measure each tied layer's share of the added validation loss.")
]
NoEvaluate = Annotated[bool, typer.Option("--no-evaluate", help="Touch no data: no accuracies, batch norm as it was.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Report, but write nothing.")]
Out = Annotated[Path | None, typer.Option(help="Fold folder to make.  [default: a new one inside the run]")]


def fold(
    run: RunArgument = None,
    threshold: Threshold = None,
    sweep: Sweep = False,
    groups: Groups = None,
    keep: Keep = None,
    ignore: Ignore = None,
    metric: Metric = None,
    *,
    no_shares: NoShares = False,
    no_evaluate: NoEvaluate = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    device: Device = "auto",
    out: Out = None,
    force: ForceTwice = 0,
    **settings: Any,
) -> Any:
    """Tie similar layers of a soft run and fold the network into loops that really run.

    Prints the program, what is stored, how many untrained networks would merge as much, and the test accuracy before
    and after.
    """
    from foldnet.verbs.fold import fold as recipe
    from foldnet.verbs.sweep import sweep as sweep_recipe
    from foldnet_cli.outputs import run_or_newest
    from foldnet_cli.parsing import names, parse_thresholds, refuse_together
    from foldnet_cli.progress import watching

    overall, single = parse_thresholds(threshold or [])
    listed: dict[str, Any] = {
        "groups": names(groups),
        "keep": tuple(keep or ()),
        "ignore": tuple(ignore or ()),
        "metric": metric,
    }
    picking = {"threshold": overall, "thresholds": single}
    chosen = {name: settings[name] for name in ("max_drop", "budget")}
    run = run_or_newest(run)
    with watching() as observer:
        if sweep:
            _refuse_beside_sweep(picking | chosen, settings | {"out": out, "no_evaluate": no_evaluate})
            kept: dict[str, Any] = {name: settings[name] for name in ("tie", "linkage", "checkpoint")}
            how: dict[str, Any] = {"data_dir": data_dir, "device": device, "written": not dry_run, "observer": observer}
            return sweep_recipe(run, **how, **listed, **kept)
        if no_evaluate:
            auto = "auto" if overall == "auto" else None
            refuse_together("--no-evaluate", chosen | {"threshold": auto, "finetune": settings["finetune"] or None})
        return recipe(
            run,
            out=out,
            force=force,
            dry_run=dry_run,
            evaluated=not no_evaluate,
            data_dir=data_dir,
            device=device,
            observer=observer,
            shares=not no_shares,
            **picking,
            **listed,
            **settings,
        )


def _refuse_beside_sweep(picking: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise SettingError for options that choose or tune a fold, of which a sweep makes none."""
    from foldnet_cli.parsing import refuse_together

    others = {name: given[name] or None for name in ("clusters", "finetune", "control", "out", "no_evaluate")}
    others["unit"] = given["unit"] if given["unit"] != "layer" else None
    refuse_together("--sweep", picking | others)


def fold_command() -> Any:
    """`fold` with an option for each setting of a fold."""
    return with_parameters(fold, parameters_of(FoldSettings, leave=("metric",)).values())
