"""foldnet info."""

from pathlib import Path
from typing import Any

from foldnet_cli.options import AGAINST, argument, keyword, switch, takes


@takes(argument("name", "ARCH or RUN or FOLD or FILE", "Left out: the runs here.", str))
def info(name: str | None) -> Any:
    """Say what a network is made of: an architecture by name, a run, a fold, or a safetensors file."""
    from foldnet.verbs.info import info as recipe
    from foldnet.verbs.listing import list_runs

    return list_runs() if name is None else recipe(name)


@takes(
    argument("named", "RUN", "Run folders; left out, all under --home.", list[Path]),
    switch("compare", "Print one table of all, as `foldnet study table` does; seeds are taken together."),
    keyword("against", str, None, metavar="NAME", help=AGAINST, show_default=False),
)
def runs(named: list[Path] | None, compare: bool, against: str | None) -> Any:
    """List the runs here and their folds, with what they were trained on, how well they do and their sizes."""
    from foldnet.training.runs import all_runs

    if compare or against is not None:
        from foldnet.verbs.compare import compare as recipe

        return recipe(named or all_runs(), against=against)
    from foldnet.verbs.listing import list_runs

    return list_runs(runs=named)
