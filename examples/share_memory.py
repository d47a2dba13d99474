"""How much memory sharing takes: the peak of a fresh process that has made torchvision's vit_l_16 (304 million parameters), above its imports.

    python examples/share_memory.py          # some minutes; writes examples/benchmarks/share-memory.json
    python examples/share_memory.py plan     # one of them, printed

In multiples of the network's weights, which are part of it: the network itself stays as it was.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from measure import FILES, machine
from torch import nn
from torchvision.models import vit_l_16

import foldnet
import foldnet.converting.templates  # what is imported late would be counted too
import foldnet.sharing.convert

ALL = 999  # a template a layer
UNIT = 1024 if sys.platform == "linux" else 1  # bytes of what the system counts in
CASES: dict[str, Callable[[nn.Module], Any]] = {
    "plan": lambda network: foldnet.plan(network, templates=2),
    "share, 2 templates": lambda network: foldnet.share(network, 2),
    "share, 2 templates from the weights": lambda network: foldnet.share(network, 2, init="weights"),
    "share, a template a layer": foldnet.share,
    "share, a template a layer from the weights": lambda network: foldnet.share(network, init="weights"),
    "convert, 2 templates, with the control": lambda network: foldnet.convert(network, templates=2),
}


def peak() -> int:
    """The most bytes that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def measured(case: str) -> float:
    """The peak in multiples of the weights."""
    foldnet.plan(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    foldnet.convert(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), templates=1)
    before = peak()
    torch.manual_seed(0)
    network = vit_l_16()
    weights = sum(one.numel() * one.itemsize for one in network.parameters())
    made = CASES[case](network)
    assert made is not None
    return (peak() - before) / weights


def main() -> None:
    """Each in a process of its own."""
    if sys.argv[1:]:
        print(json.dumps(measured(sys.argv[1])))
        return
    found = {}
    for case in CASES:
        print(case, file=sys.stderr, flush=True)
        found[case] = json.loads(subprocess.check_output([sys.executable, __file__, case]))
    about = machine() | {"torchvision": version("torchvision")}
    content = {"command": "python examples/share_memory.py", "machine": about, "result": found}
    (FILES / "share-memory.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
