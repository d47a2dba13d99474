"""A loop that computes: prefix sums of longer strings than any that was trained on, by running the loop longer.

    python examples/prefix_sums.py RUN/fold-0.95 --lengths 32 64 128 512 --times 0.5 1 2 --out prefix-sums.svg

scores a fold of a network that was trained on strings of 32 bits (examples/prefix-sums.toml) on strings of each length. The
trips through its loop are in proportion to the length, times each of `--times`. It prints a table of the share of strings that
are wholly right and draws it, a line a length; `--json FILE` keeps the numbers.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import foldnet
from foldnet.drawing.curves import depth_figure
from foldnet.drawing.figures import write_figure
from foldnet.folding.folds import open_fold
from foldnet.folding.opening import run_of_fold
from foldnet.program.data import turnable
from foldnet.training.observer import Silent
from foldnet.training.other_grids import OtherGrids

Row = dict[str, Any]


def measure(fold: Path, arguments: argparse.Namespace) -> Iterator[Row]:
    """The score on strings of each length after each number of trips."""
    opened = open_fold(fold)
    ((loop, found),) = turnable(opened.program).items()
    trained = run_of_fold(opened).settings.source
    for length in arguments.lengths:
        for trips in sorted({max(1, round(times * found * length / trained.length)) for times in arguments.times}):
            strings = OtherGrids(length=length, count=arguments.count)
            report = foldnet.evaluate(fold, steps={loop: trips}, grids=strings, batch_size=100, observer=Silent())
            yield {
                "length": length,
                "trips": trips,
                "right": report.right,
                "strings": report.images,
                "bits": report.share_within,
            }


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fold", type=Path)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 64, 128, 512])
    parser.add_argument("--times", type=float, nargs="+", default=[0.5, 0.75, 1, 1.5, 2])
    parser.add_argument("--count", type=int, default=100, help="strings of each length")
    parser.add_argument("--out", type=Path, default=Path("prefix-sums.svg"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    rows = []
    for row in measure(arguments.fold, arguments):
        rows.append(row)
        right = row["right"] / row["strings"]
        print(
            f"{row['length']:5} bits, {row['trips']:5} trips: {100 * right:6.2f} % exact, {100 * row['bits']:.3f} % of bits",
            flush=True,
        )
        curves.setdefault(f"{row['length']} bits", {"exact": []})["exact"].append((row["trips"], right))
    write_figure(depth_figure(curves, str(arguments.fold), measure="strings wholly right"), arguments.out)
    if arguments.json:
        arguments.json.write_text(json.dumps({"fold": str(arguments.fold), "rows": rows}, indent=1) + "\n")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
