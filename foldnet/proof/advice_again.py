"""What a fold's report says of chance and of what else would merge, against what folding again says of it."""

from typing import Any

from foldnet.choosing.advice import advise
from foldnet.choosing.choose import Choice, Soft
from foldnet.folding.plan import FoldPlan
from foldnet.proof.promises import Promise, equal, stated_at
from foldnet.store.codec import to_plain

ROUNDING = 1e-6  # between machines, of similarities and of shares of untrained networks


def check_advice(soft: Soft, plan: FoldPlan, choice: Choice | None, report: Any) -> Promise:
    """The report names the shares of untrained networks that merge as much, near misses and the first merge as they
    are.

    What it does not state is not compared; `choice` is None where the clusters were not chosen by thresholds.
    """
    stated = report if isinstance(report, dict) else {}
    wrong: list[str] = []
    if "chance" in stated:  # reports of version 0.1 say nothing of it
        clusters = {group.name: group.clusters for group in plan.groups}
        advice = advise(soft, plan, choice or Choice(clusters, None, "", None))
        wrong = [name for name, value in to_plain(advice).items() if not close(stated.get(name), value)]
        shares = {group.name: advice.chance.of_group(group.name) for group in plan.groups}
        wrong += [
            f"chance of {name}"
            for name, share in shares.items()
            if not close(stated_at(stated, f"groups.{name}.chance"), share)
        ]
    return equal("advice in report.json that is not that of folding again", ", ".join(wrong), "")


def close(stated: Any, wanted: Any) -> bool:
    """Whether plain data are the same, their numbers but for rounding."""
    if isinstance(wanted, dict):
        alike = isinstance(stated, dict) and stated.keys() == wanted.keys()
        return alike and all(close(stated[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        alike = isinstance(stated, list) and len(stated) == len(wanted)
        return alike and all(map(close, stated, wanted))
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return type(stated) is type(wanted) and bool(stated == wanted)
    return isinstance(stated, int | float) and not isinstance(stated, bool) and abs(stated - wanted) <= ROUNDING
