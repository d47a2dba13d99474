"""A loop that was found computes: run longer, it solves problems that are larger than any it was trained on.

    python examples/longer.py                      # some minutes on one core: trains, folds, measures, draws longer.svg
    python examples/longer.py FOLD ... --json FILE # measures folds of prefix sums or mazes that are there, and keeps the numbers

Without a fold it trains twenty steps that share twenty templates on prefix sums of 32 bits, with the regulariser that asks for
loops, and folds them. Each fold is scored on problems of each size, all new, with trips through its loop in proportion to the
size, times each of `--times`: how many are wholly right. A fold whose numbers FILE has already is not measured again.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import machine

import foldnet
from foldnet.drawing.curves import depth_figure
from foldnet.drawing.figures import write_figure
from foldnet.folding.folds import open_fold
from foldnet.folding.opening import run_of_fold
from foldnet.program.data import Program, turnable
from foldnet.program.text import program_text
from foldnet.training.checkpoint import read_metrics
from foldnet.training.observer import Silent
from foldnet.training.other_grids import OtherGrids

Row = dict[str, Any]
TOLD = (
    "norm",
    "coefficients",
    "recurrence",
    "recurrence_after",
    "progressive",
    "progressive_reach",
    "mixed_starts",
    "epochs",
)


@dataclass(frozen=True)
class Problem:
    """What a network was trained on: the option that says how large an example is, and sizes to score on."""

    option: str
    unit: str
    sizes: tuple[int, ...]


PROBLEMS = {
    "prefix-sums": Problem("length", "bits", (32, 64, 128, 256, 512)),
    "mazes": Problem("size", "cells a side", (9, 13, 19, 33, 59)),
    "paths": Problem("grid", "cells a side", (32, 48, 64)),
}


def dial_of(program: Program) -> tuple[str, int]:
    """The loop that runs most often, and its trips."""
    loops = turnable(program)
    if not loops:
        raise SystemExit("this fold has no loop that could run longer; name one that has")
    return max(loops.items(), key=lambda loop: loop[1])


def rows_of(fold: Path, sizes: Sequence[int], times: Sequence[float], count: int) -> Iterator[Row]:
    """The score on `count` problems of each size after the trips found and after each number in proportion to the size, which is
    cut off at 100 times the trips found."""
    opened = open_fold(fold)
    loop, found = dial_of(opened.program)
    source = run_of_fold(opened).settings.source
    option = PROBLEMS[source.name].option
    trained = getattr(source, option)
    for size in sizes or PROBLEMS[source.name].sizes:
        in_proportion = (round(factor * found * size / trained) for factor in times)
        for trips in sorted({found, *(min(max(1, trips), 100 * found) for trips in in_proportion)}):
            asked: dict[str, Any] = {option: size, "count": count}
            report = foldnet.evaluate(
                fold, steps={loop: trips}, grids=OtherGrids(**asked), batch_size=100, observer=Silent()
            )
            yield {"size": size, "trips": trips, "right": report.right, "of": report.images, "score": report.score}


def entry_of(fold: Path, sizes: Sequence[int], times: Sequence[float], count: int) -> dict[str, Any]:
    """What is kept of a fold: its network, how that was trained, what it scored and how alike the least alike of its groups
    was after each epoch, the trips found, and the rows, which are printed too."""
    opened = open_fold(fold)
    run = run_of_fold(opened)
    settings, history = run.settings, read_metrics(run.folder)
    _, found = dial_of(opened.program)
    unit, rows = PROBLEMS[settings.dataset].unit, []
    print(f"{fold}: {settings.arch}, {found} trips found")
    for row in rows_of(fold, sizes, times, count):
        print(f"{row['size']:5} {unit}, {row['trips']:5} trips: {row['right']} of {row['of']} wholly right", flush=True)
        rows.append(row)
    return {
        **{name: getattr(settings, name) for name in ("arch", "dataset", "seed", *TOLD)},
        "seconds": round(sum(line["seconds"] for line in history)),
        "validation": [line["validation_score"] for line in history],
        "alike": [round(min(line["similarity"].values()), 4) for line in history],
        "program": program_text(opened.program).splitlines()[0],
        "found": found,
        "rows": rows,
    }


def train_and_fold(folder: Path) -> Path:
    """A soft network whose steps come to be alike, folded; a training that was stopped goes on."""
    arch, alike = "scnn1d-20-32-20-recall", {"recurrence": 0.5, "recurrence_form": "signed", "recurrence_after": 3}
    foldnet.train(dataset="prefix-sums", arch=arch, **alike, out=folder, resume=True)
    if not (folder / "fold-0.95").is_dir():
        foldnet.fold(folder, threshold=0.95, shares=False, observer=Silent())
    return folder / "fold-0.95"


def draw(entry: dict[str, Any], out: Path) -> None:
    """Wholly right against trips, a line a size."""
    unit = PROBLEMS[entry["dataset"]].unit
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in entry["rows"]:
        line = curves.setdefault(f"{row['size']} {unit}", {"as folded": []})["as folded"]
        line.append((row["trips"], row["right"] / row["of"]))
    title = f"{entry['dataset']}: {entry['arch']}, seed {entry['seed']}"
    write_figure(depth_figure(curves, title, measure="problems wholly right", logarithmic=True), out)


def main() -> None:
    """Measure, print, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folds", type=Path, nargs="*", help="default: train one")
    parser.add_argument("--sizes", type=int, nargs="+", default=[], help="default: those of the dataset")
    parser.add_argument("--times", type=float, nargs="+", default=[0.5, 0.75, 1, 1.5, 2])
    parser.add_argument("--count", type=int, default=100, help="problems of each size")
    parser.add_argument("--out", type=Path, default=Path("longer.svg"), help="the picture, of the last fold")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    file = arguments.json
    kept = json.loads(file.read_text(encoding="utf-8")) if file and file.exists() else {"results": {}}
    kept |= {"command": "python " + " ".join(["examples/longer.py", *sys.argv[1:]]), "machine": machine()}
    for fold in arguments.folds or [train_and_fold(Path("runs/longer"))]:
        name = f"{fold.resolve().parent.name}/{fold.name}"
        entry = kept["results"].get(name) or entry_of(fold, arguments.sizes, arguments.times, arguments.count)
        kept["results"][name] = entry
        if file:
            file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    draw(entry, arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
