"""Measure what conversions of trained networks keep: two sets, each of which makes one file of examples/benchmarks/.

    python examples/conversions.py resnet20-frontier --weights resnet20-cifar10.safetensors --data-dir DIR   # hours on a core
    python examples/conversions.py loops-in-earnest --data-dir DIR                                           # a day on a core
    python examples/conversions.py resnet20-frontier --missing                          # says what was not measured yet

resnet20-frontier: a ResNet-20 that others trained (see examples/resnet20_cifar.py), its 3x3 convolutions stored in two thirds, a half
and a third of their numbers as templates, with low rank and as one owner a stage with residuals, and as loops of one body a stage, as
converted and after two epochs of distillation. loops-in-earnest: a vision transformer of eight blocks and wrn-40-2, trained for six epochs and converted to two and three
bodies for each run of equal blocks, which begin as the average or stepwise, with two epochs of distillation.

One configuration is measured after the other, and each is kept: what was stopped goes on with the next one. Nothing is chosen: the last
epoch counts everywhere.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from measure import FILES, machine

Configurations = dict[str, list[str]]  # by name the commands, of which the last gives the result
EPOCHS = 2
NETWORK = "examples/resnet20_cifar.py"
SEEN = (
    "The weights were trained by others on all 50,000 training images, so the images that a run sets aside for validation were "
    "seen; they choose nothing here. One network, one seed, the test set read for these numbers alone."
)
# Templates of layer1, layer2, layer3, of 6, 5 and 5 layers with 2,304, 9,216 and 36,864 numbers each: of all that store at most the
# share, those whose group with the fewest templates for its layers has the most, then the next.
TEMPLATES = {"2/3": (6, 4, 3), "1/2": (4, 4, 2), "1/3": (6, 3, 1)}
# The highest rank of residuals beside one owner a stage that the share holds; a matrix of layer1 has 16 at most.
RANKS = {"2/3": 20, "1/2": 12, "1/3": 5}
VISION = "img_size=32 patch_size=4 depth=8 embed_dim=96 num_heads=3"
TRAININGS = {
    "vit": "--arch timm/vit_tiny_patch16_224 "
    + " ".join(f"--arch-option {option}" for option in VISION.split())
    + " --optimiser adamw --lr 0.001 --weight-decay 0.05 --schedule cosine --warmup 0.1",
    "wrn-40-2": "--arch wrn-40-2",
}


def resnet20() -> Configurations:
    """Shares of the numbers, what is wanted most first."""
    source = f"foldnet convert --arch {NETWORK}:make --weights WEIGHTS --dataset cifar10"
    whole, found = "runs/resnet20-whole", {}
    for share, numbers in TEMPLATES.items():
        groups = " ".join(f"--templates layer{stage}={number}" for stage, number in enumerate(numbers, 1))
        out = f"runs/resnet20-templates-{share.replace('/', 'of')}"
        found[f"templates {share}"] = [f"{source} {groups} --finetune {EPOCHS} --control --out {out} --force --force"]
        out = f"runs/resnet20-residual-{share.replace('/', 'of')}"
        tied = f"foldnet fold {whole} --code {NETWORK} --threshold 0 --residual {RANKS[share]} --no-shares"
        fold = f"{tied} --finetune {EPOCHS} --out {out} --force --force"
        found[f"residual {share}"] = [f"{source} --templates 6 --out {whole}", fold]
    loops = f"{source} --loops 1 --finetune {EPOCHS} --out runs/resnet20-loops --force --force"
    return {name: found[name] for name in ("templates 2/3", "residual 2/3")} | {"loops 1": [loops]} | found


def in_earnest() -> Configurations:
    """Networks, seeds, bodies for each run of equal blocks, and what they begin as."""
    found = {}
    for seed in range(2):
        for network, options in TRAININGS.items():
            run = f"runs/earnest-{network}-seed{seed}"
            train = f"foldnet train --dataset cifar10 {options} --epochs 6 --seed {seed} --out {run} --resume"
            found[f"{network} seed {seed}"] = [train]
            for bodies in (2, 3):
                for start in ("average", "stepwise"):
                    how = f"--loops {bodies} --start {start} --finetune {EPOCHS}"
                    convert = f"foldnet convert {run} {how} --out {run}-{bodies}-{start} --force --force"
                    found[f"{network} seed {seed} loops {bodies} {start}"] = [convert]
    return found


SETS: dict[str, tuple[Callable[[], Configurations], str]] = {
    "resnet20-frontier": (resnet20, SEEN),
    "loops-in-earnest": (in_earnest, "Two seeds, the test set read for these numbers alone."),
}


def read(name: str) -> dict[str, Any]:
    """What was measured of a set so far, and all that is wanted."""
    configurations, note = SETS[name]
    file = FILES / f"{name}.json"
    known = json.loads(file.read_text(encoding="utf-8"))["result"] if file.is_file() else {}
    command = f"python examples/conversions.py {name}"
    return {"command": command, "note": note, "wanted": list(configurations()), "result": known}


def measure(commands: list[str], weights: Path | None, data_dir: Path) -> dict[str, Any]:
    """Run the commands of one configuration and keep what the last prints; what those before it make is made once."""
    printed = ""
    for command in commands:
        if command != commands[-1] and Path(command.split("--out ")[1]).is_dir():
            continue
        words = [str(weights) if word == "WEIGHTS" else word for word in shlex.split(command)]
        called = [sys.executable, "-m", "foldnet_cli", *words[1:], "--data-dir", str(data_dir), "--json"]
        printed = subprocess.run(called, stdout=subprocess.PIPE, check=True, text=True).stdout
    said = [f"{command} --json" for command in commands]
    return {"commands": said, "machine": machine(), "result": json.loads(printed)}


def main() -> int:
    """Measure what is missing, or name it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--weights", type=Path, help="file of the trained weights of the ResNet-20")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where CIFAR-10 lies")
    parser.add_argument("--missing", action="store_true", help="only say what was not measured; exit status 1 if any")
    arguments = parser.parse_args()
    content, (configurations, _) = read(arguments.set), SETS[arguments.set]
    missing = {name: commands for name, commands in configurations().items() if name not in content["result"]}
    if arguments.missing or not missing:
        print(f"missing: {', '.join(missing) or 'nothing'}")
        return int(bool(missing))
    if arguments.weights is None and any("WEIGHTS" in command for command in chain(*missing.values())):
        parser.error("--weights names the file of the trained weights")
    for name, commands in missing.items():
        print(f"{name}: {commands[-1]}", file=sys.stderr)
        content["result"][name] = measure(commands, arguments.weights, arguments.data_dir)
        file = FILES / f"{arguments.set}.json"
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
