"""A loop that was found computes: run longer, it solves problems that are larger than any it was trained on.

    python examples/longer.py                      # some minutes on one core: trains, folds, measures, draws longer.svg
    python examples/longer.py FOLD ... --json FILE # measures folds or runs that are there, and keeps the numbers

Without a fold it trains twenty steps that share twenty templates on prefix sums of 32 bits, with the regulariser that asks for
loops, and folds them. Each fold is scored on problems of each size, all new, with trips through its loop in proportion to the
size, times each of `--times`: how many are wholly right. What has no loop, such as a run, is scored as it is. A fold whose
numbers FILE has already is not measured again.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from measure import machine

import foldnet
from foldnet.drawing.curves import depth_figure
from foldnet.drawing.figures import write_figure
from foldnet.folding.folds import open_fold, settings_of
from foldnet.folding.opening import run_of_fold
from foldnet.program.data import turnable
from foldnet.program.text import program_text
from foldnet.training.checkpoint import read_metrics
from foldnet.training.observer import Silent
from foldnet.training.other_grids import OtherGrids
from foldnet.training.runs import Run, open_run

Row = dict[str, Any]
TOLD = (
    "norm",
    "coefficients",
    "recurrence",
    "recurrence_after",
    "progressive",
    "progressive_reach",
    "mixed_starts",
    "spectral_norm",
    "epochs",
)


@dataclass(frozen=True)
class Problem:
    """What a network was trained on: the option that says how large an example is, sizes to score on, and how far queries may
    lie apart in grids of these."""

    option: str
    unit: str
    sizes: tuple[int, ...]
    windows: tuple[int, ...] = ()

    def asked(self, size: int) -> dict[str, Any]:
        """The options of problems of a size."""
        windows = dict(zip(self.sizes, self.windows, strict=True)) if self.windows else {}
        return {self.option: size} | ({"window": windows[size]} if size in windows else {})


PROBLEMS = {
    "prefix-sums": Problem("length", "bits", (32, 64, 128, 256, 512)),
    "mazes": Problem("size", "cells a side", (9, 13, 19, 33, 59)),
    "paths": Problem("grid", "cells a side", (24, 32, 48), (21, 29, 41)),
    "addition": Problem("length", "digits", (4, 5, 6, 8)),
}


@dataclass(frozen=True)
class Trained:
    """A fold, or a run as it is: its folder, the run, its program in words, and the loop that runs most often with its trips;
    where there is none, "" with the steps of the network. A fold was fine-tuned for so many epochs."""

    folder: Path
    run: Run
    program: str
    loop: str
    found: int
    finetuned: int = 0


def trained(folder: Path) -> Trained:
    """What lies in a folder."""
    fold = open_fold(folder) if (folder / "program.json").is_file() else None
    run = open_run(folder) if fold is None else run_of_fold(fold)
    loops = {} if fold is None else turnable(fold.program)
    if fold is None or not loops:
        return Trained(folder, run, "no loop", "", int(run.settings.arch.split("-")[1]))
    loop, found = max(loops.items(), key=itemgetter(1))
    finetuned = settings_of(folder).get("finetune", 0)
    return Trained(folder, run, program_text(fold.program).splitlines()[0], loop, found, finetuned)


def rows_of(network: Trained, sizes: Sequence[int], times: Sequence[float], count: int) -> Iterator[Row]:
    """The score on `count` problems of each size after the trips found and after each number in proportion to the size, which is
    cut off at 100 times the trips found."""
    source, loop, found = network.run.settings.source, network.loop, network.found
    problem = PROBLEMS[source.name]
    for size in sizes or problem.sizes:
        in_proportion = (round(factor * found * size / getattr(source, problem.option)) for factor in times)
        for trips in sorted({found, *(min(max(1, trips), 100 * found) for trips in in_proportion if loop)}):
            report = foldnet.evaluate(
                network.folder,
                steps={loop: trips} if loop else None,
                grids=OtherGrids(**problem.asked(size), count=count),
                batch_size=100,
                observer=Silent(),
            )
            yield {"size": size, "trips": trips, "right": report.right, "of": report.images, "score": report.score}


def entry_of(network: Trained, sizes: Sequence[int], times: Sequence[float], count: int) -> dict[str, Any]:
    """What is kept: the network, how it was trained, what it scored and how alike the least alike of its groups was after each
    epoch, the trips found, and the rows, which are printed too."""
    settings, history = network.run.settings, read_metrics(network.run.folder)
    unit, rows = PROBLEMS[settings.dataset].unit, []
    print(f"{network.folder}: {settings.arch}, {network.found} trips {'found' if network.loop else 'and no loop'}")
    for row in rows_of(network, sizes, times, count):
        print(f"{row['size']:5} {unit}, {row['trips']:5} trips: {row['right']} of {row['of']} wholly right", flush=True)
        rows.append(row)
    return {
        **{name: getattr(settings, name) for name in ("arch", "dataset", "seed", *TOLD)},
        "trained_on": [
            *getattr(settings.source, "smaller", ()),
            getattr(settings.source, PROBLEMS[settings.dataset].option),
        ],
        "seconds": round(sum(line["seconds"] for line in history)),
        "validation": [line["validation_score"] for line in history],
        "alike": [round(min(line["similarity"].values()), 4) for line in history if line["similarity"]],
        "program": network.program,
        "found": network.found,
        "finetuned": network.finetuned,
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
        entry = kept["results"].get(name) or entry_of(trained(fold), arguments.sizes, arguments.times, arguments.count)
        kept["results"][name] = entry
        if file:
            file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    draw(entry, arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
