"""foldnet render: one command a picture."""

from typing import Annotated, Any

import typer

from foldnet_cli.guard import add_command
from foldnet_cli.options import Checkpoint, DataDir, Device, FoldArgument, Force, Metric, Output, RunArgument

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
    from foldnet.recipes.render import draw
    from foldnet_cli.views import Written

    return Written(draw(fold, output, residual=residual, force=force))


def sharing(
    run: RunArgument = None,
    output: Output = None,
    checkpoint: Checkpoint = "last",
    force: Force = False,
) -> Any:
    """Draw who mixes what (the paper's Figure 1): layers, templates, coefficients as weighted edges."""
    from foldnet.recipes.render import draw_sharing
    from foldnet_cli.views import Written

    return Written(draw_sharing(run, output, checkpoint=checkpoint, force=force))


def lsm(
    run: RunArgument = None,
    output: Output = None,
    metric: Metric = None,
    checkpoint: Checkpoint = "last",
    force: Force = False,
) -> Any:
    """Draw the layer similarity matrices (white is 1, as in the paper's Figure 2)."""
    from foldnet.recipes.lsm import lsm as recipe
    from foldnet.recipes.render import draw_lsm
    from foldnet_cli.views import Written

    return Written(draw_lsm(recipe(run, metric=metric, checkpoint=checkpoint), output, force=force))


def fold(fold: FoldArgument = None, output: Output = None, force: Force = False) -> Any:
    """Draw each stage's layers, its similarity matrix and the folded stage side by side (the paper's Figure 4)."""
    from foldnet.recipes.render_fold import draw_fold
    from foldnet_cli.views import Written

    return Written(draw_fold(fold, output, force=force))


def sweep(run: RunArgument = None, output: Output = None, force: Force = False) -> Any:
    """Draw the curve that `foldnet fold --sweep` measured: accuracy against what is stored."""
    from foldnet.recipes.render_fold import draw_sweep
    from foldnet_cli.views import Written

    return Written(draw_sweep(run, output, force=force))


def depth(
    fold: FoldArgument = None,
    output: Output = None,
    most: Annotated[
        int | None, typer.Option(help="Most trips to try (default: twice what was found).", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    force: Force = False,
) -> Any:
    """Measure and draw test accuracy against the trips through each loop."""
    from foldnet.recipes.depth import depth as recipe
    from foldnet.recipes.render_fold import draw_depth
    from foldnet_cli.progress import watching
    from foldnet_cli.views import tell

    with watching() as observer:
        report = recipe(fold, most=most, data_dir=data_dir, device=device, observer=observer)
    tell(f"wrote {draw_depth(report, output, force=force)}")
    return report


for command in (graph, sharing, lsm, fold, sweep, depth):
    add_command(app, command)
