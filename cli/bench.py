"""foldnet bench: one command a kind of speed."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet_cli.guard import add_command
from foldnet_cli.options import Compile, Device, FoldArgument, Force, Precision, RunOption, Threads

JsonFile = Annotated[Path | None, typer.Option("-o", "--out", "--output", help="JSON file to write as well.")]
app = typer.Typer(help="Measure speed, memory and size, side by side in one run.", no_args_is_help=True)


def inference(
    fold: FoldArgument = None,
    run: RunOption = None,
    batch_sizes: Annotated[str, typer.Option(help="Images a batch, each measured: 1,128.")] = "1,128",
    repeats: Annotated[
        int, typer.Option(min=1, metavar="<int>", help="Rounds; in each every form is timed once.")
    ] = 10,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    output: JsonFile = None,
    force: Force = False,
) -> Any:
    """Time the soft, dense, tied and looped forms of a fold, and the plain network of its shape, in turns.

    Latency, throughput, peak memory, bytes on disk and FLOPs, and their ratios to dense.
    """
    from foldnet.verbs.bench_inference import bench_inference
    from foldnet_cli.outputs import fold_or_newest
    from foldnet_cli.parsing import parse_sizes
    from foldnet_cli.progress import watching

    sizes, fold = parse_sizes(batch_sizes), fold_or_newest(fold)
    with watching() as observer:
        return bench_inference(
            fold,
            run=run,
            batch_sizes=sizes,
            repeats=repeats,
            threads=threads,
            device=device,
            precision=precision,
            out=output,
            force=force,
            observer=observer,
        )


def train(
    arch: Annotated[str, typer.Option(help="The soft network: swrn-DEPTH-WIDTH[-TEMPLATES].")] = "swrn-28-4-4",
    batch_size: Annotated[int, typer.Option(min=2, metavar="<int>", help="Images a step, at least 2.")] = 128,
    steps: Annotated[
        int, typer.Option(min=1, metavar="<int>", help="Rounds; in each every network makes one step.")
    ] = 20,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = "auto",
    compile: Compile = "auto",
    profile: Annotated[bool, typer.Option("--profile", help="Say where a step's time goes, by operator.")] = False,
    output: JsonFile = None,
    force: Force = False,
) -> Any:
    """Time training steps of a soft network, its plain twin and the reference, in turns.

    The reference computes what the soft network computes, mixing one layer's weight at a time in fp32, as the paper's
    authors do.
    """
    if profile:  # torch's profiler talks on stderr unless it is told not to before torch is loaded
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from foldnet.verbs.bench_train import bench_train
    from foldnet_cli.progress import watching

    with watching() as observer:
        return bench_train(
            arch,
            batch_size=batch_size,
            steps=steps,
            threads=threads,
            device=device,
            precision=precision,
            compile=compile,
            profiled=profile,
            out=output,
            force=force,
            observer=observer,
        )


for command in (train, inference):
    add_command(app, command)
