"""foldnet bench: one command a kind of speed; their options are the fields of their settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foldnet.benching.settings import InferenceBench, TrainBench
from foldnet.drawing.output import FOLD
from foldnet_cli.options import FORCE, out_file, parameters_of, takes, values_of
from foldnet_cli.outputs import FOLD_ARGUMENT, taken, watch
from foldnet_cli.train import ARCH_OPTION, parse_arch_options

JSON_FILE = out_file("JSON file to write as well.")


@takes(FOLD_ARGUMENT, *parameters_of(InferenceBench).values(), JSON_FILE, FORCE)
def inference(fold: Path | None, output: Path | None, force: bool, **given: Any) -> Any:
    from foldnet.verbs.bench_inference import bench_inference

    values = values_of(InferenceBench, given)
    return watch(bench_inference, taken(fold, FOLD), **values, out=output, force=force)


@takes(*parameters_of(TrainBench).values(), ARCH_OPTION, JSON_FILE, FORCE)
def train(output: Path | None, force: bool, arch_option: list[str] | None, **given: Any) -> Any:
    if given["profile"]:  # torch's profiler talks on stderr unless it is told not to before torch is loaded
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from foldnet.verbs.bench_train import bench_train

    options = parse_arch_options(arch_option or []) or None
    return watch(bench_train, **given, arch_option=options, out=output, force=force)


inference.__doc__, train.__doc__ = InferenceBench.__doc__, TrainBench.__doc__


def bench() -> dict[str, Callable[..., Any]]:
    """The commands."""
    return {"train": train, "inference": inference}
