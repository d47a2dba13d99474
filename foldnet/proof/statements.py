"""What a fold's report states besides sizes, weights and accuracies: made again where that can be, else held to bounds
and to plain text."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.choosing.choose import reason_of
from foldnet.choosing.laboratory import Laboratory
from foldnet.errors import BrokenPromise
from foldnet.folding.folds import Fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.program.loops import greedy_stages
from foldnet.proof.claims import is_share
from foldnet.proof.compare import LIMIT
from foldnet.proof.promises import Findings, Promise, entries, equal, stated_at
from foldnet.proof.prove import Proof, check_fold
from foldnet.proof.refold import Refold
from foldnet.store.codec import from_plain, to_plain

LONGEST = 1000  # characters of a text other than the program
NAMES = ("fold", "run")  # of folders, which may be called anything
KINDS = ("test", "random")  # inputs that a fold is proven on
ALIKE = 10  # times that rounding may differ between machines


def check_statements(report: Any, fold: Fold, refold: Refold | None) -> Findings:
    """What was searched greedily, kept apart, and why these clusters, as the program and folding again say; what no run
    says is plain.

    What the report does not state is not compared: version 0.1 stated less.
    """
    stated = report if isinstance(report, dict) else {}
    again: dict[str, Any] = {"run": fold.run, "greedy": list(greedy_stages(fold.program))}
    reason = None
    if refold is not None:
        reason = reason_of(refold.soft.settings, fold.task)
        again |= {"kept_apart": to_plain(refold.plan.kept_apart)} | ({} if reason is None else {"why": reason})
    if isinstance(stated.get("run"), str):  # version 0.1 wrote the whole path
        stated = stated | {"run": Path(stated["run"]).name}
    wrong = [name for name, value in again.items() if name in stated and stated[name] != value]
    shares = [
        layer.get("added_loss_share")
        for group in entries(stated.get("groups"))
        for layer in entries(group.get("layers"))
    ]
    measured = any(share is not None for share in shares)
    promises = (
        equal("statements in report.json that are not those of folding again", ", ".join(wrong), ""),
        equal("texts in report.json that are long or hold what is not printed", ", ".join(_odd(stated)), ""),
        equal("shares of the added loss in report.json that are none", _no_shares(shares) if measured else 0, 0),
    )
    unsure = ["the tied layers' shares of the added loss"] if measured else []
    unsure += ["the reason for the knee"] if refold is not None and reason is None else []
    said = f"{' and '.join(unsure)} in report.json cannot be made again: only bounds are checked"
    return Findings(promises, unmeasured=(said,) if unsure else ())


def check_proof(
    report: Any,
    looped: LoopedNetwork,
    tied: nn.Module,
    fold: Fold,
    laboratory: Laboratory | None,
    ignored: tuple[str, ...],
) -> Findings:
    """Looped was run against tied on as many inputs of a kind as the report says, and differs no more than it does now,
    or than rounding."""
    stated = stated_at(report, "proof")
    if stated is None:  # version 0.1 proved nothing
        return Findings()
    name = "proof in report.json"
    try:
        proof = from_plain(Proof, stated)
        most, again = LIMIT, None
        if proof.inputs == "random" or laboratory is not None:
            again = check_fold(
                looped, tied, fold.program, fold, laboratory if proof.inputs == "test" else None, ignored
            )
            most = max(LIMIT, ALIKE * again.relative)
    except (BrokenPromise, ValueError) as error:
        return Findings((Promise(name, False, str(error), "a comparison of looped with tied"),))
    wanted = f"{again.count if again else proof.count} test or random inputs, at most {most:.1g} apart"
    counted = proof.count == again.count if again else proof.count > 0
    held = proof.inputs in KINDS and counted and 0 <= proof.relative <= most
    return Findings((Promise(name, held, f"{proof.count} {proof.inputs} inputs, {proof.relative:.1g} apart", wanted),))


def _no_shares(shares: list[Any]) -> int:
    """How many are no numbers from 0 to 1; all of them where they sum to more than 1."""
    wrong = sum(not is_share(share) for share in shares)
    return wrong or (len(shares) if sum(shares) > 1 + 1e-6 else 0)


def _odd(value: Any, place: str = "") -> Iterator[str]:
    """The places in plain data of texts and names that are long, or would move a cursor or colour a terminal."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _odd(key, f"a name in {place or 'report'}")
            yield from _odd(entry, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for entry in value:
            yield from _odd(entry, place)
    elif isinstance(value, str) and place not in NAMES:
        plain = value.replace("\n", "") if place == "program" else value
        if any(unicodedata.category(letter).startswith("C") for letter in plain) or (
            place != "program" and len(value) > LONGEST
        ):
            yield place
