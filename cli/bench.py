"""foldnet bench: one command a kind of speed; their options are the fields of their settings."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.benching.settings import InferenceBench, TrainBench
from foldnet.drawing.output import FOLD
from foldnet_cli.options import FoldArgument, Force, parameters_of, values_of, with_parameters

JsonFile = Annotated[Path | None, typer.Option("-o", "--out", "--output", help="JSON file to write as well.")]


def _inference(fold: FoldArgument = None, *, output: JsonFile = None, force: Force = False, **given: Any) -> Any:
    from foldnet.verbs.bench_inference import bench_inference
    from foldnet_cli.outputs import taken
    from foldnet_cli.progress import watch

    values = values_of(InferenceBench, given)
    return watch(bench_inference, taken(fold, FOLD), **values, out=output, force=force)


def _train(*, output: JsonFile = None, force: Force = False, **given: Any) -> Any:
    if given["profile"]:  # torch's profiler talks on stderr unless it is told not to before torch is loaded
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from foldnet.verbs.bench_train import bench_train
    from foldnet_cli.progress import watch

    return watch(bench_train, **given, out=output, force=force)


COMMANDS = {
    "train": with_parameters(_train, parameters_of(TrainBench).values(), TrainBench.__doc__),
    "inference": with_parameters(_inference, parameters_of(InferenceBench).values(), InferenceBench.__doc__),
}
