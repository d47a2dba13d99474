"""foldnet convert: most of its options are the fields of ConvertSettings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foldnet.converting.settings import ConvertSettings
from foldnet_cli.options import FORCE_TWICE, keyword, named_numbers, parameters_of, shared, takes
from foldnet_cli.outputs import RUN_ARGUMENT, taken, watch
from foldnet_cli.train import ARCH_OPTION, parse_arch_options

TEMPLATES = "Templates of each group, at most as many as its layers: 4, or of one group stage3=2 (may be repeated)."


@takes(
    RUN_ARGUMENT,
    keyword("templates", list[str], help=TEMPLATES),
    *parameters_of(ConvertSettings, leave=("templates",)).values(),
    keyword("arch", str, help="A network by name instead of a run's, with its --weights."),
    ARCH_OPTION,
    keyword("weights", Path, help="File of its weights: safetensors, or tensors that torch.save wrote."),
    keyword("dataset", str, help="What it answers for, which is measured on.  [default: digits]"),
    *shared("data_dir", "device"),
    keyword("out", Path, None, "-o", "--out", help="Run folder to make.  [default: a new one under runs/]"),
    FORCE_TWICE,
)
def convert(run: Path | None, templates: list[str] | None, arch_option: list[str] | None, **given: Any) -> Any:
    """Convert a trained network to one that shares, written as a run of its own.

    Prints the energy of the weights that is kept, beside what weights of low rank keep in as many numbers, and the test
    accuracies before, after and distilled.
    """
    from foldnet.verbs.convert import convert as recipe

    given |= parse_templates(templates or []) | {"arch_option": parse_arch_options(arch_option or []) or None}
    named = any(given[name] for name in ("arch", "weights", "arch_option", "dataset"))
    return watch(recipe, run if named else taken(run), **given)


def parse_templates(given: Iterable[str]) -> dict[str, Any]:
    """["4", "stage3=2"] -> the number of all groups, and those of single ones. Raises SettingError for anything
    else."""
    found = list(named_numbers(given, int, "--templates '{}' is not a number or GROUP=NUMBER; write 4 or stage3=2"))
    overall = [number for group, number in found if group is None]
    return {
        "templates": (overall or [None])[-1],
        "by_group": tuple((group, number) for group, number in found if group is not None),
    }
