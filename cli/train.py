"""foldnet train."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet_cli.options import DataDir, ForceTwice


def train(
    dataset: Annotated[
        str | None,
        typer.Option(help="digits, cifar10, cifar100, folder, paths or mazes.  [default: digits]"),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            help="swrn-DEPTH-WIDTH[-TEMPLATES] (soft) or wrn-DEPTH-WIDTH (plain); for paths and mazes scnn- and cnn-.  "
            "[default: swrn-28-2-4; paths and mazes scnn-20-32-20]"
        ),
    ] = None,
    recall: Annotated[
        bool, typer.Option("--recall", help="Feed the input to every step of a cnn or scnn: its -recall form.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="All phases together; with --resume, more make a run longer.  [default: 200; digits 30; paths 250; mazes 50]"
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step.  [default: 128; digits 64; paths and mazes 32]")
    ] = None,
    optimiser: Annotated[
        str | None, typer.Option(help="sgd (Nesterov momentum 0.9) or adam.  [default: sgd; paths and mazes adam]")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.  [default: 0.1; paths and mazes 0.01]")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="steps (times 0.2 at 30, 60 and 80 % of the epochs) or constant.  [default: steps; paths and mazes constant]"
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Weight decay, never on coefficients.  [default: 0.0005; paths and mazes 0]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run.  [default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.  [default: auto]")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto, fp32 or bf16; auto is bf16 where the hardware has it.  [default: auto]"),
    ] = None,
    compile: Annotated[
        str | None,
        typer.Option(help="auto (on CUDA), on or off: torch.compile of the training steps.  [default: auto]"),
    ] = None,
    recurrence: Annotated[
        float | None,
        typer.Option(help="Weight of the recurrence regulariser.  [default: 0; digits with swrn-* 0.5]"),
    ] = None,
    recurrence_form: Annotated[
        str | None,
        typer.Option(
            help="loops (layers at one place of successive blocks), or mean or sum (the paper's) over all pairs of layers.  "
            "[default: mean; digits with swrn-* loops]"
        ),
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Rate of dropout between the two convolutions of a block.  [default: 0]")
    ] = None,
    cutout: Annotated[
        int | None, typer.Option(help="Side of the square hole in pixels, 0 for none.  [default: 0]")
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(help="Share of the training data, or a number of images.  [default: 0.1; digits 360]"),
    ] = None,
    sync_bn: Annotated[
        bool | None,
        typer.Option("--sync-bn", help="Of several processes, normalise by the statistics of the whole batch."),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(help="Train on so many GPUs of this machine, one process each.  [default: one process]"),
    ] = None,
    progressive: Annotated[
        float | None,
        typer.Option(help="Weight of the loss after a random number of steps, for cnn and scnn.  [default: 0]"),
    ] = None,
    grid: Annotated[int | None, typer.Option(help="Side of the grids of `paths` in cells.  [default: 32]")] = None,
    windows: Annotated[
        str | None,
        typer.Option(help="Windows (odd) of the queries of `paths`, a phase each.  [default: 5,9,13,17,21]"),
    ] = None,
    obstacles: Annotated[
        float | None, typer.Option(help="Probability that a cell of `paths` is an obstacle.  [default: 0.1]")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="What `paths` asks for: union of all shortest paths, or one.  [default: union]")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of `mazes` in cells, walls included (odd).  [default: 9]")
    ] = None,
    examples: Annotated[
        int | None, typer.Option(help="Grids to train on in each phase of `paths` and `mazes`.  [default: 5000]")
    ] = None,
    test_examples: Annotated[
        int | None, typer.Option(help="Grids to test on, as the last phase draws them.  [default: 1000]")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side to which `folder` resizes its images.  [default: 32]")
    ] = None,
    data_dir: DataDir = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch CIFAR into --data-dir if it is not there.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of these settings; options win.")] = None,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Least time between checkpoints at the ends of epochs; epochs of over five minutes make some within.",
        ),
    ] = 30.0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the epochs' numbers into the run folder for TensorBoard too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.  [default: a new one under --home]")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with --out, or with the newest run; with more --epochs than it has, by the schedule of the longer run.",
        ),
    ] = False,
    force: ForceTwice = 0,
) -> Any:
    """Train a network and keep everything about it in a run folder.

    Without options: SWRN 28-2-4 on the digits inside scikit-learn, half a minute on a laptop. CIFAR gets the paper's recipe,
    and so do shortest paths (`--dataset paths`), which are drawn as they are needed, phase by phase.
    """
    from foldnet_cli.launch import check_gpus, launch
    from foldnet_cli.parsing import parse_windows

    if gpus is not None:
        check_gpus(gpus, device)
        device = "cuda"
        if gpus > 1:
            return launch(gpus)
    return _train(
        out=out,
        resume=resume,
        force=force,
        download=download,
        config=config,
        checkpoint_every=checkpoint_every,
        tensorboard=tensorboard,
        dataset=dataset,
        arch=arch,
        recall=recall,
        epochs=epochs,
        batch_size=batch_size,
        optimiser=optimiser,
        lr=lr,
        schedule=schedule,
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        precision=precision,
        compile=compile,
        recurrence=recurrence,
        recurrence_form=recurrence_form,
        dropout=dropout,
        cutout=cutout,
        validation=validation,
        sync_bn=sync_bn,
        progressive=progressive,
        grid=grid,
        windows=None if windows is None else parse_windows(windows),
        obstacles=obstacles,
        target=target,
        size=size,
        examples=examples,
        test_examples=test_examples,
        image_size=image_size,
        data_dir=None if data_dir is None else str(data_dir),
    )


def _train(**options: Any) -> Any:
    """Train in this process, be it alone or one of several. Only the first of them has something to show."""
    from foldnet.verbs.train import train as recipe
    from foldnet_cli.launch import in_world, one_of_several, rank
    from foldnet_cli.progress import watching
    from foldnet_cli.taken import run_to_resume

    first = not in_world() or rank() == 0
    if first and options["resume"] and options["out"] is None:
        options["out"] = run_to_resume()
    if not in_world():
        with watching(saves=True) as observer:
            return recipe(observer=observer, **options)
    with watching(saves=True, quiet=not first) as observer, one_of_several() as world:
        report = recipe(observer=observer, world=world, **options)
    return report if world.writes else None
