"""Measure what README and docs/ say: run the commands and write what they print into examples/benchmarks/.

    python examples/measure.py digits                     # some minutes on two cores
    python examples/measure.py cifar10 --data-dir DIR     # nine trainings of six epochs, an hour and a half
    python examples/measure.py text                       # eight decoders of the text inside Python, an hour on one core
    python examples/measure.py longer                     # the dial of loops that compute: six trainings, an hour on one core
    make docs                                             # write the numbers into README and docs/

Every file names its command, the versions and the machine. What was measured before stays unless --again; --only takes the names
that begin so. Trainings that were stopped go on. Times are worth something only where nothing else runs.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from foldnet.hardware import memory_bytes, processor

FILES = Path(__file__).parent / "benchmarks"


@dataclass(frozen=True)
class Measurement:
    """One file of benchmarks/: its name without the ending, and the command whose JSON it keeps."""

    name: str
    command: str


def digits() -> Iterator[Measurement]:
    """The network of the quick start, its folds, and controls that store no more than they do."""
    for seed in range(5):
        run = f"runs/digits-seed{seed}"
        yield Measurement(f"digits-train-seed{seed}", f"foldnet train --seed {seed} --out {run} --resume")
        yield Measurement(f"digits-fold-seed{seed}", f"foldnet fold {run} --force")
    for seed in range(3):
        for arch in ("swrn-28-2-2", "swrn-28-2-1", "wrn-10-2"):
            out = f"runs/digits-{arch}-seed{seed}"
            off = " --recurrence 0" if arch.startswith("s") else ""
            yield Measurement(
                f"digits-{arch}-train-seed{seed}",
                f"foldnet train --arch {arch}{off} --seed {seed} --out {out} --resume",
            )
        yield Measurement(
            f"digits-max-drop-seed{seed}", f"foldnet fold runs/digits-seed{seed} --max-drop 0.5 --finetune 2 --force"
        )
        dial = f"foldnet fold runs/digits-seed{seed} --dial --out runs/digits-dial-seed{seed} --force"
        yield Measurement(f"digits-dial-seed{seed}", dial)
    yield Measurement("digits-lsm-seed0", "foldnet lsm runs/digits-seed0")
    yield Measurement("digits-sweep-seed0", "foldnet fold runs/digits-seed0 --sweep")
    for rank in (0, 1, 2, 4, 8, 16):
        yield Measurement(
            f"digits-residual{rank}-seed0",
            f"foldnet fold runs/digits-seed0 --threshold 0 --residual {rank} --no-shares --force",
        )
    fold = "runs/digits-seed0/fold-0.95"
    yield Measurement("digits-verify-seed0", f"foldnet verify {fold}")
    yield Measurement("digits-depth-seed0", f"foldnet render depth {fold} --output runs/digits-depth.png --force")
    seeds = " ".join(f"runs/digits-seed{seed}" for seed in range(5))
    yield Measurement("digits-ties-seeds0to4", f"python examples/tie_study.py {seeds} --thresholds 0.95")
    yield Measurement(
        "digits-bench-inference", f"foldnet bench inference {fold} --batch-sizes 1,128 --repeats 100 --threads 1"
    )


def cifar10() -> Iterator[Measurement]:
    """Folds of a network that the form `loops` regularised, and its controls: of the folded size, and without the regulariser."""
    kinds = {
        "loops": "--arch swrn-28-1-4 --recurrence 0.2 --recurrence-form loops",
        "small": "--arch swrn-28-1-2",
        "free": "--arch swrn-28-1-4",
    }
    for kind, options in kinds.items():
        for seed in range(3):
            run = f"runs/cifar10-{kind}-seed{seed}"
            train = f"foldnet train --dataset cifar10 {options} --epochs 6 --seed {seed} --out {run} --resume"
            yield Measurement(f"cifar10-{kind}-train-seed{seed}", train)
            if kind == "loops":
                yield Measurement(f"cifar10-{kind}-fold-seed{seed}", f"foldnet fold {run} --no-shares --force")
                dial = f"foldnet fold {run} --no-shares --dial --out runs/cifar10-dial-seed{seed} --force"
                yield Measurement(f"cifar10-dial-seed{seed}", dial)
    yield Measurement("cifar10-loops-lsm-seed0", "foldnet lsm runs/cifar10-loops-seed0")
    yield Measurement("cifar10-loops-verify-seed0", "foldnet verify runs/cifar10-loops-seed0/fold-0.95")


def text() -> Iterator[Measurement]:
    """Decoders of text of four blocks: one block looped by hand, and four that come to be alike and are folded, both run longer;
    and what never folds."""
    kinds = {
        "hand": ("--arch sgpt-4-128-4-1 --coefficients fixed", 3),
        "found": ("--arch sgpt-4-128-4-4 --recurrence 2 --recurrence-form signed", 3),
        "plain": ("--arch gpt-4-128-4", 1),
        "free": ("--arch sgpt-4-128-4-4", 1),
    }
    for kind, (options, seeds) in kinds.items():
        for seed in range(seeds):
            run = f"runs/text-{kind}-seed{seed}"
            train = f"foldnet train --dataset text {options} --epochs 10 --seed {seed} --out {run} --resume"
            yield Measurement(f"text-{kind}-train-seed{seed}", train)
            if seeds > 1:
                fold = f"foldnet fold {run} --threshold 0.9 --no-shares --dial --force"
                yield Measurement(f"text-{kind}-dial-seed{seed}", fold)


def longer() -> Iterator[Measurement]:
    """The dial of loops in strings of bits, by hand and found; and of those in mazes, paths and sums, of the runs of
    `foldnet study run` with mazes.toml, paths.toml and addition.toml."""
    for (dataset, kind), trials in STUDIED.items():
        for seed, trial in enumerate(trials):
            alike = " --threshold 0.8" if (dataset, kind) == ("paths", "found") else ""
            fold = f"foldnet fold studies/{dataset}/runs/{trial}{alike} --no-shares --dial"
            out = f"{dataset}-{kind}-dial-seed{seed}"
            yield Measurement(out, f"{fold} --out runs/{out} --force")
    kinds = {
        "hand": "--arch scnn1d-20-32-1-recall --coefficients fixed",
        "found": "--arch scnn1d-20-32-20-recall --recurrence 0.5 --recurrence-form signed --recurrence-after 3",
    }
    for kind, options in kinds.items():
        for seed in range(3):
            run = f"runs/prefix-sums-{kind}-seed{seed}"
            train = f"foldnet train --dataset prefix-sums {options} --seed {seed} --out {run} --resume"
            yield Measurement(f"prefix-sums-{kind}-train-seed{seed}", train)
            yield Measurement(f"prefix-sums-{kind}-dial-seed{seed}", f"foldnet fold {run} --no-shares --dial --force")


# Trials of studies in examples/ whose loops are turned, by seed.
STUDIED = {
    ("mazes", "hand"): ("ca913cb69bc8", "ce9e55df322f", "d21e3ce2d9d7"),
    ("mazes", "found"): ("0d2159b05873", "e293d5a0a52c", "65a68fc42666"),
    ("paths", "hand"): ("6de598047819", "1aaefeff8011", "380c88217ec0"),
    ("paths", "found"): ("addf7ddcafe3", "f34698bbee5c", "762b908f20ba"),
    ("addition", "hand"): ("98272b1b5bb8", "9adad50aadf3", "dd9b377dda9c"),
    ("addition", "found"): ("acacdd8c18f0", "2096bc852533", "a0308e380c31"),
}
SETS = {"digits": digits, "cifar10": cifar10, "text": text, "longer": longer}


def measure(measurement: Measurement, data_dir: Path | None) -> dict[str, Any]:
    """Run one command and keep what it prints, beside what it was measured with."""
    words = shlex.split(measurement.command)
    if words[0] == "python":  # an example, which prints for people and writes its JSON into a file
        with TemporaryDirectory() as folder:
            file = Path(folder, "results.json")
            subprocess.run([sys.executable, *words[1:], "--json", str(file)], stdout=subprocess.DEVNULL, check=True)
            result = json.loads(file.read_text(encoding="utf-8"))["results"]
    else:
        data = ["--data-dir", str(data_dir)] if data_dir is not None and words[1] in ("train", "fold", "verify") else []
        command = [sys.executable, "-m", "foldnet_cli", *words[1:], *data, "--json"]
        result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return {"command": f"{measurement.command} --json", "machine": machine(), "result": result}


def machine() -> dict[str, Any]:
    """What the numbers were measured with."""
    chip, memory = processor(), memory_bytes()[0]
    return {
        "foldnet": version("foldnet"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": chip.name,
        "vectors": list(chip.features),
        "cores": chip.cores,
        "threads": os.environ.get("OMP_NUM_THREADS", "one a core"),
        "memory_gib": None if memory is None else round(memory / 2**30, 1),
        "gpu": None,
    }


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--only", default="", help="names that begin so")
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument("--data-dir", type=Path, help="where CIFAR lies")
    arguments = parser.parse_args()
    for measurement in SETS[arguments.set]():
        file = FILES / f"{measurement.name}.json"
        if not measurement.name.startswith(arguments.only) or (file.exists() and not arguments.again):
            continue
        print(f"{file.name}: {measurement.command}", file=sys.stderr)
        content = measure(measurement, arguments.data_dir)
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
