"""What a trained ResNet-20 for CIFAR-10 keeps of its accuracy when its 3x3 convolutions share, at two thirds, a half and a third
of their numbers: templates, the control of low rank, and loops, each as converted and after two epochs of distillation.

    python examples/frontier.py --weights resnet20-cifar10.safetensors --data-dir DIR    # an hour and a half on one core
    python examples/frontier.py --missing                                                # what was not measured yet

The weights are those that examples/resnet20_cifar.py names. Results go into examples/benchmarks/resnet20-frontier.json, one
configuration after the other: what was stopped goes on with the next one. Nothing is chosen: the last epoch counts.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import FILES, machine

FILE = FILES / "resnet20-frontier.json"
NETWORK = "examples/resnet20_cifar.py"
NOTE = (
    "The weights were trained by others on all 50,000 training images, so the images that a run sets aside for validation were "
    "seen; they choose nothing here. One network, one seed, the test set read for these numbers alone."
)
EPOCHS = 2
# Templates of layer1, layer2, layer3, of 6, 5 and 5 layers with 2,304, 9,216 and 36,864 numbers each: of all that store at most the
# share, those whose group with the fewest templates for its layers has the most, then the next.
TEMPLATES = {"2/3": (6, 4, 3), "1/2": (4, 4, 2), "1/3": (6, 3, 1)}


def configurations() -> dict[str, list[str]]:
    """By name the commands, of which the last gives the result; in the order of what is wanted most."""
    found = {}
    source = f"--arch {NETWORK}:make --weights WEIGHTS --dataset cifar10"
    for share, numbers in TEMPLATES.items():
        groups = " ".join(f"--templates layer{stage}={number}" for stage, number in enumerate(numbers, 1))
        out = f"runs/resnet20-templates-{share.replace('/', 'of')}"
        found[f"templates {share}"] = [
            f"foldnet convert {source} {groups} --finetune {EPOCHS} --control --out {out} --force --force"
        ]
    loops = f"foldnet convert {source} --loops 1 --finetune {EPOCHS} --out runs/resnet20-loops --force --force"
    return {"templates 2/3": found.pop("templates 2/3"), "loops 1": [loops]} | found


def read() -> dict[str, Any]:
    """What was measured so far."""
    if FILE.is_file():
        content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
        return content
    return {"command": "python examples/frontier.py", "machine": machine(), "note": NOTE, "result": {}}


def measure(commands: list[str], weights: Path, data_dir: Path) -> dict[str, Any]:
    """Run the commands of one configuration and keep what the last prints."""
    printed = ""
    for command in commands:
        words = [str(weights) if word == "WEIGHTS" else word for word in shlex.split(command)]
        called = [sys.executable, "-m", "foldnet_cli", *words[1:], "--data-dir", str(data_dir), "--json"]
        printed = subprocess.run(called, stdout=subprocess.PIPE, check=True, text=True).stdout
    return {"commands": [f"{command} --json" for command in commands], "result": json.loads(printed)}


def main() -> int:
    """Measure what is missing, or name it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="file of the trained weights")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where CIFAR-10 lies")
    parser.add_argument("--missing", action="store_true", help="only say what was not measured; exit status 1 if any")
    arguments = parser.parse_args()
    content = read()
    missing = {name: commands for name, commands in configurations().items() if name not in content["result"]}
    if arguments.missing or not missing:
        print(f"missing: {', '.join(missing) or 'nothing'}")
        return int(bool(missing))
    if arguments.weights is None:
        parser.error("--weights names the file of the trained weights")
    for name, commands in missing.items():
        print(f"{name}: {commands[-1]}", file=sys.stderr)
        content["result"][name] = measure(commands, arguments.weights, arguments.data_dir)
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
