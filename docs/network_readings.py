"""How docs/any.md writes what networks of others share and where they loop, of examples/benchmarks/known-networks.json."""

from collections import Counter
from itertools import groupby
from typing import Any

from foldnet.show.report import counted

REASONS = {  # of a plan, in few words
    "the only layer of its shape in its stage": "without another of the same shape",
    "its weight is used in several places": "used in several places",
    "outside the stages": "outside the stages",
}


def runs(network: dict[str, Any]) -> str:
    """The loops by the sequences in which they stand: `layer1` 2x, `layer2` 3x."""
    found = groupby(network["loops"], key=lambda loop: loop["name"].rpartition(".loop")[0])
    return ", ".join(f"`{name}` {' + '.join(map(_times, its))}" for name, its in found) or "none"


def _times(loop: dict[str, Any]) -> str:
    """How often a loop runs what."""
    return f"{loop['times']}x" if loop["blocks"] == 1 else f"{loop['times']}x {loop['blocks']} blocks"


def why_not(network: dict[str, Any]) -> str:
    """What does not share, what does not loop, and why."""
    alone: Counter[str] = Counter()
    for reason, count in network["private"].items():
        alone[REASONS.get(reason, reason)] += count
    said = [f"{counted(count, 'layer')} {reason}" for reason, count in alone.items()]
    if own := network["blocks_with_a_layer_of_their_own"]:
        said.append(f"{counted(own, 'block')} {'has' if own == 1 else 'have'} such layers")
    said += [f"kept apart by `{name}` ({reason})" for name, reason in network["kept_apart"].items()]
    if not network["loops"]:
        said.append("no two blocks that follow each other are alike")
    return "; ".join(said)
