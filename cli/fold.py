"""foldnet fold: most of its options are the fields of FoldSettings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.errors import SettingError
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
    from foldnet_cli.outputs import taken
    from foldnet_cli.progress import watch

    overall, single = parse_thresholds(threshold or [])
    picking = {"threshold": overall, "thresholds": single}
    chosen = {name: settings[name] for name in ("max_drop", "budget")}
    listed = tuple(name.strip() for name in (groups or "").split(",") if name.strip())
    kept = {"groups": listed, "keep": tuple(keep or ()), "ignore": tuple(ignore or ()), "metric": metric}
    where = {"data_dir": data_dir, "device": device}
    run = taken(run)
    if sweep:
        tuning = {name: settings[name] or None for name in ("clusters", "finetune", "control")}
        unit = settings["unit"] if settings["unit"] != "layer" else None
        others = {"out": out, "no_evaluate": no_evaluate or None, "unit": unit}
        _refuse_together("--sweep", picking | chosen | tuning | others)
        how = {name: settings[name] for name in ("tie", "linkage", "checkpoint")}
        return watch(sweep_recipe, run, written=not dry_run, **where, **kept, **how)
    if no_evaluate:
        auto = "auto" if overall == "auto" else None
        _refuse_together("--no-evaluate", chosen | {"threshold": auto, "finetune": settings["finetune"] or None})
    folder = {"out": out, "force": force, "dry_run": dry_run}
    measured = {"evaluated": not no_evaluate, "shares": not no_shares}
    return watch(recipe, run, **folder, **measured, **where, **picking, **kept, **settings)


def fold_command() -> Any:
    """`fold` with an option for each setting of a fold."""
    return with_parameters(fold, parameters_of(FoldSettings, leave=("metric",)).values())


def parse_thresholds(given: Iterable[str]) -> tuple[float | str | None, tuple[tuple[str, float], ...]]:
    """["0.95", "stage2=0.9"] -> (0.95, (("stage2", 0.9),)); "auto" and "chance" stay words. Raises SettingError for
    anything else."""
    overall: float | str | None = None
    single = []
    for entry in (part.strip() for text in given for part in text.split(",")):
        if entry in ("auto", "chance"):
            overall = entry
            continue
        group, equals, number = entry.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise SettingError(
                f"--threshold '{entry}' is not a number or GROUP=NUMBER; write 0.95, stage2=0.9, chance or auto"
            ) from None
        if equals:
            single.append((group, value))
        else:
            overall = value
    return overall, tuple(single)


def _refuse_together(option: str, others: dict[str, Any]) -> None:
    """Raise SettingError where an option that excludes `others` comes with one of them: not None or empty."""
    for name, value in others.items():
        if value is not None and value != ():
            other = "threshold" if name == "thresholds" else name.replace("_", "-")
            raise SettingError(f"{option} and --{other} contradict each other; give one of them")
