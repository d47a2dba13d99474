"""foldnet convert: most of its options are the fields of ConvertSettings."""

from pathlib import Path
from typing import Any

from foldnet.converting.settings import ConvertSettings
from foldnet_cli.options import FORCE_TWICE, keyword, parameters_of, shared, takes
from foldnet_cli.outputs import RUN_ARGUMENT, taken, watch


@takes(
    RUN_ARGUMENT,
    *parameters_of(ConvertSettings).values(),
    keyword("arch", str, help="A network by name instead of a run's, with its --weights."),
    keyword("weights", Path, help="File of its weights: safetensors, or tensors that torch.save wrote."),
    keyword("dataset", str, help="What it answers for, which is measured on.  [default: digits]"),
    *shared("data_dir", "device"),
    keyword("out", Path, None, "-o", "--out", help="Run folder to make.  [default: a new one under runs/]"),
    FORCE_TWICE,
)
def convert(run: Path | None, arch: str | None, weights: Path | None, dataset: str | None, **given: Any) -> Any:
    """Convert a trained network to one that shares, written as a run of its own.

    Prints the energy of the weights that is kept, beside what weights of low rank keep in as many numbers, and the test
    accuracies before, after and distilled.
    """
    from foldnet.verbs.convert import convert as recipe

    source = run if arch or weights or dataset else taken(run)
    return watch(recipe, source, arch=arch, weights=weights, dataset=dataset, **given)
