"""What whoever runs a network without foldnet has to know of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foldnet.store.codec import from_plain


@dataclass(frozen=True, slots=True)
class Scaling:
    """How pixels become what a network takes, (pixels / scale - mean) / std with a mean and a std for each channel, and
    the names of the classes that its outputs stand for, where it tells classes."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """In words, with the numbers: (pixel / 16 - 0.305) / 0.376."""
        if self.scale == 1 and not any(self.mean) and set(self.std) == {1.0}:
            return "as they are"
        return f"(pixel / {self.scale:g} - {_listed(self.mean)}) / {_listed(self.std)}"


def scaling_in(config: Mapping[str, Any]) -> Scaling | None:
    """What the config.json of a run or fold says of it; None where that is older. Raises ValueError for what is no such
    thing."""
    kept = config.get("scaling")
    return None if kept is None else from_plain(Scaling, kept)


def _listed(values: Sequence[float]) -> str:
    """One number, or those of the channels in brackets."""
    told = ", ".join(f"{value:.4g}" for value in values)
    return told if len(values) == 1 else f"[{told}]"
