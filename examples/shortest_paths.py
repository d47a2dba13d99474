"""Figure 5 of the paper: do soft parameter sharing and its regulariser help a network to find shortest paths?

    python examples/shortest_paths.py --preset small --json study.json

trains a CNN, an SCNN and an SCNN with the regulariser (20 steps of 32 channels) on three seeds, through five phases whose
queries lie ever further apart, and prints F1 on held-out grids of each phase: at its first epoch, at its last, and the mean
over its epochs. Small is 16x16 grids and 80,000 example passes a run, under 15 minutes on two cores; `--preset paper` is the
paper's own size (32x32, 5,000 grids and 50 epochs a phase), for a GPU. The picture figure5.png is drawn beside the runs.
Runs that are finished are taken as they are, stopped ones go on.
"""

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import foldnet
from foldnet.verbs.render import render

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"grid": 8, "windows": (3, 5), "examples": 64, "epochs": 4, "validation": 32, "test_examples": 32},
    "small": {"grid": 16, "windows": (5, 7, 9, 11, 13), "examples": 1600, "epochs": 50, "validation": 400},
    "paper": {},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {"arch": "cnn-20-32"},
    "scnn": {"arch": "scnn-20-32-20"},
    "scnn-regularised": {"arch": "scnn-20-32-20", "recurrence": 0.01, "recurrence_form": "sum"},
}


def train(network: str, seed: int, preset: str, out: Path, threads: int) -> dict[str, Any]:
    """One run, with F1 on held-out grids of its phase after every epoch."""
    torch.set_num_threads(threads)
    folder = out / f"{network}-seed{seed}"
    settings = NETWORKS[network] | PRESETS[preset]
    report = foldnet.train(dataset="paths", seed=seed, out=folder, resume=True, **settings)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    stored = json.loads((folder / "config.json").read_text())["settings"]
    return {
        "network": network,
        "seed": seed,
        "phases": len(stored["source"]["windows"]),
        "f1": [line["validation_accuracy"] for line in lines],
        "train_f1": [line["train_accuracy"] for line in lines],
        "test_f1": report.test_accuracy,
        "test_whole": report.test_right / report.test_images,
        "parameters": report.parameters,
        "seconds": report.seconds,
        "precision": report.precision,
    }


def phases_of(run: dict[str, Any]) -> list[list[float]]:
    """F1 by phase."""
    epochs, phases = len(run["f1"]), run["phases"]
    cuts = [-(-number * epochs // phases) for number in range(phases + 1)]
    return [run["f1"][first:last] for first, last in pairwise(cuts)]


def show(runs: list[dict[str, Any]]) -> None:
    """The means over the seeds, with the least and the largest where they end."""
    print(f"{'network':>17} {'phase':>5} {'first epoch':>12} {'last epoch':>11} {'mean':>7}   last epoch, by seed")
    for network in NETWORKS:
        found = sorted((run for run in runs if run["network"] == network), key=lambda run: run["seed"])
        for phase, seeds in enumerate(zip(*map(phases_of, found), strict=True)):
            first, last, middle = (
                mean(pick(f1) for f1 in seeds) for pick in (lambda f1: f1[0], lambda f1: f1[-1], mean)
            )
            each = " ".join(f"{f1[-1]:.4f}" for f1 in seeds)
            print(f"{network:>17} {phase + 1:>5} {first:>12.4f} {last:>11.4f} {middle:>7.4f}   {each}")
        tests = " ".join(f"{run['test_f1']:.4f} ({100 * run['test_whole']:.1f} %)" for run in found)
        print(f"{network:>17}  test F1 (grids wholly right), by seed: {tests}")


def main() -> None:
    """Train all, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--out", type=Path, default=None, help="folder of the runs (default: runs/shortest-paths-PRESET)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    out = arguments.out or Path("runs") / f"shortest-paths-{arguments.preset}"

    start, runs = time.perf_counter(), []
    # Processes, one thread each: two threads in one training of such a size mostly wait for each other.
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = [
            pool.submit(train, network, seed, arguments.preset, out, 1)
            for seed in arguments.seeds
            for network in NETWORKS
        ]
        for done in as_completed(waiting):
            runs.append(done.result())
            print(f"{runs[-1]['network']} seed {runs[-1]['seed']}: test F1 {runs[-1]['test_f1']:.4f}", flush=True)
    show(runs)
    folders = [out / f"{network}-seed{seed}" for network in NETWORKS for seed in arguments.seeds]
    print(f"wrote {render('paths', tuple(folders), out / 'figure5.png', curves=True, force=True).file}")
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = spent.ru_utime + spent.ru_stime
    print(f"{time.perf_counter() - start:.0f} s, {processor:.0f} s of processors, {arguments.jobs} trainings at a time")
    if arguments.json is not None:
        command = f"python examples/shortest_paths.py --preset {arguments.preset}"
        order = sorted(runs, key=lambda run: (list(NETWORKS).index(run["network"]), run["seed"]))
        arguments.json.write_text(json.dumps({"command": command, "results": order}, indent=1) + "\n")


if __name__ == "__main__":
    main()
