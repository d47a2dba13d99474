"""foldnet render: one command a picture."""

from typing import Annotated, Any

import typer

from foldnet_cli.guard import add_command
from foldnet_cli.options import (
    Checkpoint,
    DataDir,
    Device,
    FoldArgument,
    Force,
    Metric,
    NetworksArgument,
    OtherCount,
    OtherDataset,
    OtherGrid,
    OtherObstacles,
    OtherSize,
    OtherTarget,
    OtherWindow,
    Output,
    RunArgument,
    RunOption,
)

app = typer.Typer(help="Draw a run or a fold.", no_args_is_help=True)


def graph(
    fold: FoldArgument = None,
    output: Output = None,
    residual: Annotated[bool, typer.Option("--residual", help="Also draw the residual connections.")] = False,
    force: Force = False,
) -> Any:
    """Draw the folded network: owners as nodes, loops as arrows, colours by pass.

    By the file's ending: .svg, .png, .pdf (these need Graphviz's dot), .dot, .graphml or .json.
    """
    from foldnet.verbs.render import draw
    from foldnet_cli.taken import fold_or_newest
    from foldnet_cli.views import Written

    fold = fold_or_newest(fold)
    return Written(draw(fold, output, residual=residual, force=force), fold=fold)


def sharing(
    run: RunArgument = None,
    output: Output = None,
    checkpoint: Checkpoint = "last",
    force: Force = False,
) -> Any:
    """Draw who mixes what (the paper's Figure 1): layers, templates, coefficients as weighted edges."""
    from foldnet.verbs.render import draw_sharing
    from foldnet_cli.taken import run_or_newest
    from foldnet_cli.views import Written

    run = run_or_newest(run)
    return Written(draw_sharing(run, output, checkpoint=checkpoint, force=force), run=run)


def lsm(
    run: RunArgument = None,
    output: Output = None,
    metric: Metric = None,
    checkpoint: Checkpoint = "last",
    force: Force = False,
) -> Any:
    """Draw the layer similarity matrices (white is 1, as in the paper's Figure 2)."""
    from foldnet.verbs.lsm import lsm as recipe
    from foldnet.verbs.render import draw_lsm
    from foldnet_cli.taken import run_or_newest
    from foldnet_cli.views import Written

    run = run_or_newest(run)
    return Written(draw_lsm(recipe(run, metric=metric, checkpoint=checkpoint), output, force=force), run=run)


def fold(fold: FoldArgument = None, output: Output = None, run: RunOption = None, force: Force = False) -> Any:
    """Draw each stage's layers, its similarity matrix and the folded stage side by side (the paper's Figure 4)."""
    from foldnet.verbs.render_fold import draw_fold
    from foldnet_cli.taken import fold_or_newest
    from foldnet_cli.views import Written

    fold = fold_or_newest(fold)
    return Written(draw_fold(fold, output, run=run, force=force), fold=fold)


def sweep(run: RunArgument = None, output: Output = None, force: Force = False) -> Any:
    """Draw the curve that `foldnet fold --sweep` measured: accuracy against what is stored."""
    from foldnet.verbs.render_fold import draw_sweep
    from foldnet_cli.taken import run_or_newest
    from foldnet_cli.views import Written

    run = run_or_newest(run)
    return Written(draw_sweep(run, output, force=force), run=run)


def depth(
    fold: FoldArgument = None,
    output: Output = None,
    most: Annotated[int | None, typer.Option(help="Most trips to try.  [default: twice what was found]")] = None,
    run: RunOption = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    force: Force = False,
) -> Any:
    """Measure and draw test accuracy against the trips through each loop."""
    from foldnet.verbs.depth import depth as recipe
    from foldnet.verbs.render_fold import draw_depth
    from foldnet_cli.page import tell
    from foldnet_cli.progress import watching
    from foldnet_cli.taken import fold_or_newest

    fold = fold_or_newest(fold)
    with watching() as observer:
        report = recipe(fold, most=most, run=run, data_dir=data_dir, device=device, observer=observer)
    tell(f"wrote {draw_depth(report, output, force=force)}")
    return report


def paths(
    networks: NetworksArgument = None,
    output: Output = None,
    curves: Annotated[
        bool, typer.Option("--curves", help="Draw F1 by epoch instead (the paper's Figure 5), of all runs named.")
    ] = False,
    examples: Annotated[int, typer.Option(help="How many grids to draw.")] = 8,
    dataset: OtherDataset = None,
    grid: OtherGrid = None,
    window: OtherWindow = None,
    obstacles: OtherObstacles = None,
    target: OtherTarget = None,
    size: OtherSize = None,
    run: RunOption = None,
    device: Device = "auto",
    force: Force = False,
) -> Any:
    """Draw grids, their true paths, and what a network finds, misses and marks wrongly.

    With --curves: F1 on held-out grids against epochs, mean and band over the seeds of each network, phases marked; runs
    left out are all under --home that were trained on grids.
    """
    from foldnet.errors import SettingError
    from foldnet.folding.opening import kind_of
    from foldnet.verbs.render_paths import draw_curves, draw_paths
    from foldnet_cli.parsing import parse_grids
    from foldnet_cli.taken import grid_runs_or_all, run_or_newest
    from foldnet_cli.views import Written

    if curves:
        runs = grid_runs_or_all(networks or ())
        return Written(draw_curves(runs, output, force=force), runs=runs)
    if len(networks or ()) > 1:
        raise SettingError("grids are drawn of one network; name one run or fold, or add --curves")
    others = parse_grids(dataset, grid, window, obstacles, target, size, None)
    only = run_or_newest(networks[0] if networks else None)
    file = draw_paths(only, output, examples=examples, grids=others, run=run, device=device, force=force)
    return Written(file, **{kind_of(only): only})


def reach(
    networks: NetworksArgument = None,
    output: Output = None,
    trips: Annotated[
        str | None, typer.Option(help="Trips to try: 10,20,40.  [default: a quarter to three times what was found]")
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Also measure with batch norm estimated anew, trip by trip.")
    ] = False,
    dataset: OtherDataset = None,
    grid: OtherGrid = None,
    window: OtherWindow = None,
    obstacles: OtherObstacles = None,
    target: OtherTarget = None,
    size: OtherSize = None,
    count: OtherCount = None,
    run: RunOption = None,
    device: Device = "auto",
    force: Force = False,
) -> Any:
    """Measure and draw how far networks that find paths reach: F1 and grids wholly right, by steps and by length of path.

    Runs and folds are scored on the same grids; of a fold the loop that runs most often is turned.
    """
    from foldnet.verbs.reach import reach as recipe
    from foldnet.verbs.render_paths import draw_reach
    from foldnet_cli.page import tell
    from foldnet_cli.parsing import parse_grids, parse_trips
    from foldnet_cli.progress import watching

    with watching() as observer:
        report = recipe(
            networks or (),
            parse_grids(dataset, grid, window, obstacles, target, size, count),
            trips=None if trips is None else parse_trips(trips),
            recalibrated=recalibrate,
            run=run,
            device=device,
            observer=observer,
        )
    tell(f"wrote {draw_reach(report, output, force=force)}")
    return report


for command in (graph, sharing, lsm, fold, sweep, depth, paths, reach):
    add_command(app, command)
