"""foldnet fold: most of its options are the fields of FoldSettings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foldnet.errors import SettingError
from foldnet.folding.settings import FoldSettings
from foldnet_cli.options import FORCE_TWICE, keyword, named_numbers, parameters_of, shared, switch, takes
from foldnet_cli.outputs import RUN_ARGUMENT, taken, watch

THRESHOLD = (
    "Similarity at which layers are tied: 0.95, stage2=0.9 (may be repeated), chance, what 95 % of untrained networks "
    "stay below, or auto, the knee of the sweep.  [default: 0.95]"
)
IGNORE = (
    "Attribute of blocks that keeps none apart, such as an index that changes nothing (may be repeated). At your own "
    "risk: the fold is refused only where the inputs that it is tried on show a change."
)


@takes(
    *(RUN_ARGUMENT, keyword("threshold", list[str], help=THRESHOLD)),
    switch("sweep", "Only draw the curve: every merge, judged on validation data."),
    keyword("groups", str, help="Fold only these groups: stage2,stage3."),
    keyword("keep", list[str], help="Layer that is never tied (may be repeated)."),
    *(keyword("ignore", list[str], help=IGNORE), *shared("metric")),
    *parameters_of(FoldSettings, leave=("metric",)).values(),
    switch("no_shares", "Do not measure each tied layer's share of the added validation loss."),
    switch("no_evaluate", "Touch no data: no accuracies, batch norm as it was."),
    switch(
        "dial",
        "Turn each loop to 4 times its trips on the test data: is it an iteration or a habit? Printed, not kept.",
    ),
    *(switch("dry_run", "Report, but write nothing."), *shared("data_dir", "device")),
    keyword("out", Path, help="Fold folder to make.  [default: a new one inside the run]"),
    FORCE_TWICE,
)
def fold(run: Path | None, threshold: list[str] | None, sweep: bool, **given: Any) -> Any:
    """Tie similar layers of a soft run and fold the network into loops that really run.

    Prints the program, what is stored, how many untrained networks would merge as much, and the test accuracy before
    and after.
    """
    from foldnet.verbs.fold import fold as recipe
    from foldnet.verbs.sweep import sweep as sweep_recipe

    overall, single = parse_thresholds(threshold or [])
    picking = {"threshold": overall, "thresholds": single, "max_drop": given["max_drop"], "budget": given["budget"]}
    given["groups"] = tuple(name.strip() for name in (given["groups"] or "").split(",") if name.strip())
    given |= {name: tuple(given[name] or ()) for name in ("keep", "ignore")}
    run = taken(run)
    if sweep:
        _refuse_together("--sweep", {"dial": given.pop("dial") or None})
        tuning = {name: given[name] or None for name in ("clusters", "finetune", "control", "out", "no_evaluate")}
        unit = given["unit"] if given["unit"] != "layer" else None
        _refuse_together("--sweep", picking | tuning | {"unit": unit})
        names = ("groups", "keep", "ignore", "metric", "tie", "linkage", "residual", "checkpoint", "data_dir", "device")
        return watch(sweep_recipe, run, written=not given["dry_run"], **{name: given[name] for name in names})
    shares, evaluated = not given.pop("no_shares"), not given.pop("no_evaluate")
    if not evaluated:
        judged = {"threshold": "auto" if overall == "auto" else None, "finetune": given["finetune"] or None}
        _refuse_together("--no-evaluate", {"max_drop": given["max_drop"], "budget": given["budget"]} | judged)
    return watch(recipe, run, shares=shares, evaluated=evaluated, **given | picking)


def parse_thresholds(given: Iterable[str]) -> tuple[float | str | None, tuple[tuple[str, float], ...]]:
    """["0.95", "stage2=0.9"] -> (0.95, (("stage2", 0.9),)); "auto" and "chance" stay words. Raises SettingError for
    anything else."""
    wrong = "--threshold '{}' is not a number or GROUP=NUMBER; write 0.95, stage2=0.9, chance or auto"
    found = list(named_numbers(given, float, wrong, words=("auto", "chance")))
    overall = [number for group, number in found if group is None]
    return (overall or [None])[-1], tuple((group, float(number)) for group, number in found if group is not None)


def _refuse_together(option: str, others: dict[str, Any]) -> None:
    """Raise SettingError where an option that excludes `others` comes with one of them: not None or empty."""
    for name, value in others.items():
        if value is not None and value != ():
            other = "threshold" if name == "thresholds" else name.replace("_", "-")
            raise SettingError(f"{option} and --{other} contradict each other; give one of them")
