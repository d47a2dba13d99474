"""foldnet evaluate."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foldnet.errors import SettingError
from foldnet.options import fields_of
from foldnet.training.other_grids import OtherGrids
from foldnet_cli.options import argument, keyword, named_numbers, parameters_of, shared, switch, takes
from foldnet_cli.outputs import taken, watch


@takes(
    argument("path", "RUN or FOLD", "Run or fold folder; left out, the newest run."),
    *shared("checkpoint", "run", "data_dir", "device", precision="fp32"),
    keyword("batch_size", int, 128, min=1, metavar="<int>", help="Images a batch."),
    keyword(
        "steps",
        list[str],
        help="Run a loop of a fold another number of times: stage2.loop1=5 (repeatable); 0 leaves it out.",
    ),
    switch("recalibrate", "Estimate batch norm anew first, further trips on their own."),
    switch("damped", "With --steps: a loop found with T trips that runs T' adds T / T' of what its blocks would."),
    *parameters_of(OtherGrids).values(),
)
def evaluate(path: Path | None, steps: list[str] | None, recalibrate: bool, **given: Any) -> Any:
    """Score a run's network, or a fold's loops, on the test set, or on other grids, strings or sums.

    Other grids are those of --dataset, --grid, --window, --obstacles, --target, --size and --count, other strings and
    sums those of --length and --count.
    """
    from foldnet.verbs.evaluate import evaluate as recipe

    grids = {name: given.pop(name) for name in fields_of(OtherGrids)}
    other = OtherGrids(**grids) if any(value is not None for value in grids.values()) else None
    return watch(recipe, taken(path), steps=parse_steps(steps or []), recalibrated=recalibrate, grids=other, **given)


def parse_steps(given: Iterable[str]) -> dict[str, int]:
    """["stage2.loop1=5"] -> {"stage2.loop1": 5}. Raises SettingError for anything else, and for a loop named twice."""
    found: dict[str, int] = {}
    for loop, number in named_numbers(given, int, "--steps '{}' is not LOOP=NUMBER; write stage2.loop1=5", named=True):
        if found.setdefault(loop or "", number) != number:
            raise SettingError(
                f"--steps {loop}={number} contradicts --steps {loop}={found[loop or '']}; give one of them"
            )
    return {loop: number for loop, number in found.items() if loop}
