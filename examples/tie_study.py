"""What are gains worth over signs, and what is the block worth as the unit of folding? Several runs, every way of tying.

    python examples/tie_study.py runs/digits-swrn-28-2-4-seed* --thresholds 0.95 0.9 --json study.json

prints, for each threshold, unit and way, owners, loops, and the images of the test set that are right as tied and with batch
norm estimated anew: the mean over the runs. Train the runs first, one a seed: foldnet train --seed 0, 1, 2, ...
"""

import argparse
import json
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import foldnet


def measure(run: Path, threshold: float, unit: str, tie: str, metric: str, data_dir: Path | None) -> dict[str, Any]:
    """One fold of one run; nothing is written."""
    report = foldnet.fold(
        run, threshold=threshold, unit=unit, tie=tie, metric=metric, data_dir=data_dir, shares=False, dry_run=True
    )
    accuracy = report.accuracy
    return {
        "run": run.name,
        "threshold": threshold,
        "unit": unit,
        "tie": tie,
        "metric": metric,
        "owners": sum(group.owners for group in report.groups),
        "loops": report.loops,
        "images": accuracy.images,
        "soft": accuracy.soft,
        "soft_recalibrated": accuracy.soft_recalibrated,
        "tied": accuracy.tied,
        "recalibrated": accuracy.recalibrated,
        "parameters": report.parameters.folded,
    }


def main() -> None:
    """Measure all, print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.95])
    parser.add_argument("--units", nargs="+", default=["layer", "block"])
    parser.add_argument("--ties", nargs="+", default=["mean", "signed", "gain"])
    parser.add_argument("--metric", default="coefficients")
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()

    results = []
    print(
        f"{'threshold':>9} {'unit':>6} {'tie':>7} {'owners':>7} {'loops':>6} {'soft':>8} {'tied':>8} {'recalibrated':>13}"
    )
    for threshold, unit, tie in product(arguments.thresholds, arguments.units, arguments.ties):
        rows = [measure(run, threshold, unit, tie, arguments.metric, arguments.data_dir) for run in arguments.runs]
        results += rows
        means = {name: mean(row[name] for row in rows) for name in ("owners", "loops", "soft", "tied", "recalibrated")}
        print(
            f"{threshold:9g} {unit:>6} {tie:>7} {means['owners']:7.1f} {means['loops']:6.1f} "
            f"{100 * means['soft']:7.2f}% {100 * means['tied']:7.2f}% {100 * means['recalibrated']:12.2f}%"
        )
    if arguments.json is not None:
        command = f"python examples/tie_study.py {' '.join(run.name for run in arguments.runs)}"
        arguments.json.write_text(json.dumps({"command": command, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
