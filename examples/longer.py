"""A loop that was found computes: run longer, it solves problems that are larger than any it was trained on.

    python examples/longer.py                      # some minutes on one core: trains, folds, measures, draws longer.svg
    python examples/longer.py FOLD ... --json FILE # measures folds or runs that are there, and keeps the numbers

Without a fold it trains twenty steps that share twenty templates on prefix sums of 32 bits, with the regulariser that asks for
loops, and folds them. Each fold is scored on problems of each size, all new, with trips through its loop in proportion to the
size, times each of `--times`: how many are wholly right. What has no loop, such as a run, is scored as it is. What FILE has of a
fold, by the name of its folder, is not measured again; it says which commands measured a fold, and on which machines.
"""

import argparse
import json
import math
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from measure import machine

import foldnet
from foldnet.drawing.curves import depth_figure
from foldnet.drawing.figures import write_figure
from foldnet.drawing.output import check_ending
from foldnet.errors import FoldnetError
from foldnet.folding.folds import open_fold, settings_of
from foldnet.folding.opening import run_of_fold
from foldnet.program.data import turnable
from foldnet.program.text import program_text
from foldnet.store.files import write_whole
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


@dataclass(frozen=True)
class Wanted:
    """What a fold is to be scored on: so many problems of each size, in these times the trips in proportion; sizes of none are
    those of its dataset."""

    sizes: tuple[int, ...]
    times: tuple[float, ...]
    count: int

    def settings(self, network: Trained) -> list[tuple[int, int]]:
        """Each size with each number of trips: those found, and those in proportion, up to 100 times those found."""
        source, found = network.run.settings.source, network.found
        problem = PROBLEMS[source.name]
        wanted = []
        for size in self.sizes or problem.sizes:
            in_proportion = (factor * found * size / getattr(source, problem.option) for factor in self.times)
            trips = {found, *(round(min(max(1.0, trips), 100.0 * found)) for trips in in_proportion if network.loop)}
            wanted += [(size, number) for number in sorted(trips)]
        return wanted


def trained(folder: Path) -> Trained:
    """What lies in a folder; FoldnetError for what cannot be scored on larger problems."""
    fold = open_fold(folder) if (folder / "program.json").is_file() else None
    run = open_run(folder) if fold is None else run_of_fold(fold)
    if run.settings.dataset not in PROBLEMS:
        raise FoldnetError(
            f"'{folder}' was trained on {run.settings.dataset}, whose problems have one size; name what was trained on one of "
            + ", ".join(PROBLEMS)
        )
    loops = {} if fold is None else turnable(fold.program)
    if fold is None or not loops:
        return Trained(folder, run, "no loop", "", int(run.settings.arch.split("-")[1]))
    loop, found = max(loops.items(), key=itemgetter(1))
    finetuned = settings_of(folder).get("finetune", 0)
    return Trained(folder, run, program_text(fold.program).splitlines()[0], loop, found, finetuned)


def row_of(network: Trained, size: int, trips: int, count: int) -> Row:
    """The score on so many problems of a size after so many trips."""
    report = foldnet.evaluate(
        network.folder,
        steps={network.loop: trips} if network.loop else None,
        grids=OtherGrids(**PROBLEMS[network.run.settings.dataset].asked(size), count=count),
        batch_size=100,
        observer=Silent(),
    )
    return {"size": size, "trips": trips, "right": report.right, "of": report.images, "score": report.score}


def entry_of(network: Trained) -> dict[str, Any]:
    """What is kept of a network before it was scored: how it was trained, what it scored after each epoch, how alike the two
    most alike steps then were in that group in which they were least, and the trips found."""
    settings, history = network.run.settings, read_metrics(network.run.folder)
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
        "rows": [],
        "measured": [],
    }


@dataclass(frozen=True)
class Kept:
    """The numbers of folds by their folders, and the file that they are kept in, if any."""

    file: Path | None
    results: dict[str, dict[str, Any]]

    def measure(self, network: Trained, wanted: Wanted) -> dict[str, Any]:
        """Score a network on what it was not scored on yet; each number is kept at once, and printed."""
        name = os.path.normpath(network.folder)
        entry = self.results.setdefault(name, entry_of(network))
        self._check(name, entry, network, wanted.count)
        unit = PROBLEMS[entry["dataset"]].unit
        print(f"{name}: {entry['arch']}, {network.found} trips {'found' if network.loop else 'and no loop'}")
        known = {(row["size"], row["trips"]) for row in entry["rows"]}
        for size, trips in wanted.settings(network):
            if (size, trips) not in known:
                row = row_of(network, size, trips, wanted.count)
                print(f"{size:5} {unit}, {trips:5} trips: {row['right']} of {row['of']} wholly right", flush=True)
                entry["rows"] = sorted([*entry["rows"], row], key=itemgetter("size", "trips"))
                self._write(entry)
        return entry

    def _check(self, name: str, entry: dict[str, Any], network: Trained, count: int) -> None:
        """Raise FoldnetError for numbers of another fold, or on another number of problems."""
        described = {key: value for key, value in entry_of(network).items() if key not in ("rows", "measured")}
        if any(key in entry and entry[key] != value for key, value in described.items()):
            raise FoldnetError(f"'{self.file}' has numbers of another '{name}'; name another --json, or remove them")
        if counts := {row["of"] for row in entry["rows"]} - {count}:
            raise FoldnetError(
                f"'{self.file}' has scores of '{name}' on {min(counts)} problems of a size, not {count}; give "
                f"--count {min(counts)}, or another --json"
            )

    def _write(self, entry: dict[str, Any]) -> None:
        """Keep what was measured, and which command measured it where."""
        here = {"command": shlex.join(["python", "examples/longer.py", *sys.argv[1:]]), "machine": machine()}
        if here not in entry["measured"]:
            entry["measured"].append(here)
        if self.file:
            write_whole(self.file, json.dumps({"results": self.results}, indent=1) + "\n")


def kept_in(file: Path | None) -> Kept:
    """What a file has; FoldnetError where it is none of this example's."""
    if file is None or not file.exists():
        return Kept(file, {})
    try:
        results = json.loads(file.read_text(encoding="utf-8"))["results"]
        for entry in results.values():
            list(entry["measured"])
            for row in entry["rows"]:
                row["size"], row["trips"], row["right"], row["of"]
        return Kept(file, results)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    raise FoldnetError(f"'{file}' is not a file that this example wrote; name another --json")


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
    loop = f"a loop {'by hand' if entry['coefficients'] == 'fixed' else 'that was found'}"
    title = f"{entry['dataset']}: {loop if 'x {' in entry['program'] else 'no loop'} in {entry['arch']}, seed {entry['seed']}"
    write_figure(depth_figure(curves, title, measure="problems wholly right", logarithmic=True), out)


def number_above_zero(text: str) -> float:
    """A number that an option takes."""
    with suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")


def whole_number(text: str) -> int:
    """A whole number that an option takes."""
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")


def options() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "folds", type=Path, nargs="*", help="of strings, mazes, paths or sums; default: train one in runs/longer"
    )
    parser.add_argument("--sizes", type=whole_number, nargs="+", default=[], help="default: those of the dataset")
    parser.add_argument(
        "--times",
        type=number_above_zero,
        nargs="+",
        default=[0.5, 0.75, 1, 1.5, 2],
        help="trips, 1 for those found times size / size trained on [0.5 0.75 1 1.5 2]",
    )
    parser.add_argument("--count", type=whole_number, default=100, help="problems of each size [100]")
    parser.add_argument(
        "--out", type=Path, default=Path("longer.svg"), help="the picture, of the last fold [longer.svg]"
    )
    parser.add_argument("--json", type=Path, help="keep the numbers here, and do not measure them twice")
    return parser


def main() -> None:
    """Measure, print, keep, draw."""
    given = options().parse_args()
    wanted = Wanted(tuple(given.sizes), tuple(given.times), given.count)
    try:
        check_ending(given.out)
        for file in filter(None, (given.out, given.json)):
            if not file.parent.is_dir():
                raise FoldnetError(f"'{file}' has no folder to lie in; make '{file.parent}' first")
        kept = kept_in(given.json)
        networks = [trained(folder) for folder in given.folds or [train_and_fold(Path("runs/longer"))]]
        entries = [kept.measure(network, wanted) for network in networks]
        draw(entries[-1], given.out)
    except FoldnetError as error:
        sys.exit(f"error: {error}")
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
