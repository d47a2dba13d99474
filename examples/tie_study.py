"""What are gains worth over signs, and what is the block worth as the unit of folding? Several runs, every way of tying.

    python examples/tie_study.py runs/digits-swrn-28-2-4-seed* --thresholds 0.95 0.9 --json study.json

prints, for each threshold, unit and way, owners, the share of the dense shared weights that is stored, loops, and test accuracy
as tied and with batch norm estimated anew: mean and standard deviation over the runs. Below stand the differences within each
run, which say more than those of the means. Nothing is chosen, so that the test set is read only once for each network. Train the
runs first, one a seed: foldnet train --seed 0, 1, 2, ...
"""

import argparse
import copy
import json
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from foldnet.choosing.choose import choose, soft_of
from foldnet.choosing.laboratory import Laboratory
from foldnet.folding.groups import groups_of
from foldnet.folding.plan import apply_fold, soft_network
from foldnet.folding.settings import FoldSettings
from foldnet.program.data import count_loops
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run

Row = dict[str, Any]


def measure(folder: Path, arguments: argparse.Namespace) -> Iterator[Row]:
    """Every fold of one run, in memory; the soft network is measured once."""
    run = open_run(folder)
    soft, laboratory = soft_network(run.load()[0]), Laboratory(run, arguments.data_dir, "auto", Silent())
    groups = groups_of(soft)
    dense = sum(len(group.group.layers) * group.weight_numbers for group in groups)
    before = laboratory.score(soft, laboratory.test)
    anew = laboratory.score(laboratory.recalibrated(copy.deepcopy(soft)), laboratory.test)
    for threshold, unit, tie in product(arguments.thresholds, arguments.units, arguments.ties):
        folded = soft_of(soft, FoldSettings(threshold=threshold, unit=unit, tie=tie, metric=arguments.metric))
        plan = folded.plan(choose(folded).clusters)
        tied = apply_fold(soft, plan)
        as_tied = laboratory.score(tied, laboratory.test)
        recalibrated = laboratory.score(laboratory.recalibrated(tied), laboratory.test)
        yield {
            "run": folder.name,
            "threshold": threshold,
            "unit": unit,
            "tie": tie,
            "metric": arguments.metric,
            "owners": sum(group.owners for group in plan.groups),
            "layers": sum(len(group.layers) for group in plan.groups),
            "stored": sum(group.stored * group.weight_numbers for group in plan.groups) / dense,
            "loops": sum(count_loops(stage.items) for stage in plan.program.stages),
            "images": before.images,
            "soft": before.accuracy,
            "soft_recalibrated": anew.accuracy,
            "tied": as_tied.accuracy,
            "recalibrated": recalibrated.accuracy,
        }


def spread(values: list[float], scale: float = 100) -> str:
    """Mean and, of several, standard deviation."""
    known = [scale * value for value in values]
    return f"{mean(known):.2f}" + (f" ± {stdev(known):.2f}" if len(known) > 1 else "")


def show(rows: list[Row]) -> None:
    """A line for each threshold, unit and way of tying."""
    print(
        f"{'threshold':>9} {'unit':>6} {'tie':>7} {'owners':>7} {'stored %':>9} {'loops':>6} {'tied %':>14} {'recalibrated %':>15}"
    )
    for key in dict.fromkeys((row["threshold"], row["unit"], row["tie"]) for row in rows):
        some = [row for row in rows if (row["threshold"], row["unit"], row["tie"]) == key]
        owners, loops = (mean(row[name] for row in some) for name in ("owners", "loops"))
        stored, tied, anew = (spread([row[name] for row in some]) for name in ("stored", "tied", "recalibrated"))
        print(
            f"{key[0]:9g} {key[1]:>6} {key[2]:>7} {owners:7.1f} {stored.split()[0]:>9} {loops:6.1f} {tied:>14} {anew:>15}"
        )
    once = {row["run"]: row for row in rows}.values()
    print(
        f"soft {spread([row['soft'] for row in once])}, recalibrated {spread([row['soft_recalibrated'] for row in once])}"
    )


def show_differences(
    rows: list[Row], name: str, first: str, second: str, others: Callable[[Row], tuple[Any, ...]]
) -> None:
    """How much better `first` is than `second`, run by run: points of test accuracy, recalibrated."""
    for key in dict.fromkeys(map(others, rows)):
        found = {
            row[name]: [other for other in rows if other[name] == row[name] and others(other) == key] for row in rows
        }
        if first in found and second in found:
            apart = [a["recalibrated"] - b["recalibrated"] for a, b in zip(found[first], found[second], strict=True)]
            print(f"{first} over {second} at {' '.join(map(str, key))}: {spread(apart)} points")


def main() -> None:
    """Measure all, print the means and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.95])
    parser.add_argument("--units", nargs="+", default=["layer", "block"])
    parser.add_argument("--ties", nargs="+", default=["mean", "signed", "gain"])
    parser.add_argument("--metric", default="coefficients")
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()

    rows = []
    for folder in arguments.runs:
        rows += list(measure(folder, arguments))
        print(f"measured {folder}", file=sys.stderr)
    show(rows)
    show_differences(rows, "tie", "gain", "signed", lambda row: (row["threshold"], row["unit"]))
    show_differences(rows, "unit", "block", "layer", lambda row: (row["threshold"], row["tie"]))
    if arguments.json is not None:
        command = "python examples/tie_study.py " + " ".join(sys.argv[1:])
        arguments.json.write_text(json.dumps({"command": command, "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
