"""The seeds of one network of a study: their similarity matrices, and what these have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foldnet.analysis.chance import Chance
from foldnet.analysis.seeds import Common, SeedGroup, common
from foldnet.errors import RunError, UnknownName, nearest
from foldnet.show.report import Report, Table

Key = tuple[str, str]  # architecture and dataset


@dataclass(frozen=True, slots=True)
class SeedsReport(Report):
    """What the layers of one network have in common over its seeds; the last of `groups` is of all together."""

    arch: str
    dataset: str
    metric: str
    seeds: tuple[int, ...]
    groups: tuple[Common, ...]

    def parts(self) -> Iterator[Table]:
        """A row a group."""
        names = ("group", "pairs beyond chance", "of them (i, i+2)", "by chance", "p", "adjusted Rand index")
        rows = tuple(
            (one.name, one.pairs, _percent(one.apart), _percent(one.expected), p_of(one), _rounded(one.rand))
            for one in self.groups
        )
        yield Table(f"{self.arch} on {self.dataset}, {len(self.seeds)} seeds, by {self.metric}", names, rows)


def _by_network(results: Sequence[Mapping[str, Any]], what: Path) -> dict[Key, dict[int, Any]]:
    """What was kept of the layers' similarities, by network and seed. Raises RunError where nothing was."""
    found: dict[Key, dict[int, Any]] = {}
    for result in results:
        settings = result["settings"]
        for step in result["steps"]:
            if step["kind"] == "lsm":
                found.setdefault((settings["arch"], settings["dataset"]), {})[settings["seed"]] = step["report"]
    if not found:
        raise RunError(
            f"study '{what}' kept no similarity matrices; write a table [lsm] into its file and run it again, "
            "which trains nothing anew"
        )
    return found


def seeds_of(
    results: Sequence[Mapping[str, Any]], what: Path, arch: str | None = None, dataset: str | None = None
) -> tuple[SeedsReport, tuple[SeedGroup, ...]]:
    """What the seeds of one network have in common, and their matrices: of the network asked for, else of the one with
    most seeds. Raises RunError where the study kept no matrices, UnknownName for a network that is not in it."""
    kept = _by_network(results, what)
    for place, asked in enumerate((arch, dataset)):
        names = sorted({key[place] for key in kept})
        if asked is not None and asked not in names:
            there = f"only of {', '.join(names)}{nearest(asked, names)}"
            raise UnknownName(f"the study kept no matrices of '{asked}', {there}")
    left = [key for key in kept if arch in (None, key[0]) and dataset in (None, key[1])]
    if not left:
        raise UnknownName(f"the study has no '{arch}' on '{dataset}'; leave one of the two out")
    chosen = max(left, key=lambda key: len(kept[key]))
    found = kept[chosen]
    seeds = tuple(sorted(found))
    groups = tuple(
        SeedGroup(
            group["name"],
            np.array([found[seed]["groups"][number]["matrix"] for seed in seeds]),
            Chance(**group["chance"], draws=0),
        )
        for number, group in enumerate(found[seeds[0]]["groups"])
    )
    return SeedsReport(*chosen, found[seeds[0]]["metric"], seeds, common(groups)), groups


def summary(one: Common) -> str:
    """The share of (i, i+2) with what chance gives and its p, and the Rand index, on lines of their own."""
    if one.apart is None:
        return "no pair beyond chance"
    rand = "" if one.rand is None else f"\nadjusted Rand index {one.rand:.2f}"
    share = f"(i, i+2): {_percent(one.apart)} of {one.pairs}"
    return f"{share}\nby chance {_percent(one.expected)}, p {p_of(one)}{rand}"


def p_of(one: Common) -> str:
    """The p of a permutation test, which can tell none below one in its draws."""
    return "-" if one.p is None else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"


def _percent(part: float | None) -> str | None:
    """A share in whole per cent."""
    return None if part is None else f"{100 * part:.0f} %"


def _rounded(value: float | None) -> str | None:
    """Two decimals."""
    return None if value is None else f"{value:.2f}"
