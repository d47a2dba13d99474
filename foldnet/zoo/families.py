"""Families of networks: what is chosen of one, how it is written in a name, and how it is made. A new one is a line in
FAMILIES.

Knows no torch until a network is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

DEEPEST = 1000  # layers: making more modules than that takes longer than a user waits


@dataclass(frozen=True, slots=True)
class Family:
    """Networks of one kind. `options` is a frozen dataclass of what is chosen: its whole numbers stand in the name in
    order, those that are true or false at its end; what else it has, such as a dropout rate, is no part of the name.

    `make` (options, channels, outputs) gives the plain network. `layers` says how many layers of a group share, which
    is the most templates; `illegal` (options, soft) what is wrong with some options, as the end of a sentence. `task`
    is what its networks answer for, `of` the same in words. `trains_with` names training settings that have a meaning
    for this family.
    """

    name: str
    options: type[Any]
    make: Callable[[Any, int, int], nn.Module]
    layers: Callable[[Any], int]
    illegal: Callable[[Any, bool], str | None] = lambda options, soft: None
    task: str = "classes"
    of: str = "classes of images"
    channels: int = 3
    published: tuple[str, ...] = ()
    trains_with: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """The options that stand in a name as numbers, in order."""
        return tuple(entry.name for entry in fields(self.options) if entry.type in ("int", int))

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that a name ends in where they are true."""
        return tuple(entry.name for entry in fields(self.options) if entry.type in ("bool", bool))

    @property
    def form(self) -> str:
        """What a name looks like, such as "wrn-DEPTH-WIDTH and swrn-DEPTH-WIDTH[-TEMPLATES] for classes of images"."""
        plain = "-".join([self.name, *map(str.upper, self.numbers)])
        end = "".join(f"[-{flag}]" for flag in self.flags)
        return f"{plain}{end} and s{plain}[-TEMPLATES]{end} for {self.of}"


@dataclass(frozen=True, slots=True)
class WideOptions:
    """A wide residual network: layers, widening factor, and the dropout rate between the two convolutions of a
    block."""

    depth: int
    width: int
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class StepOptions:
    """A network of steps: how many, channels, and whether every step sees the input again."""

    depth: int
    width: int
    recall: bool = False


def _wide(options: WideOptions, channels: int, outputs: int) -> nn.Module:
    """A wide residual network."""
    from foldnet.zoo.wrn import WideResNet

    return WideResNet(options.depth, options.width, outputs, channels, options.dropout)


def _steps(options: StepOptions, channels: int, outputs: int) -> nn.Module:
    """A network that answers for cells, however many classes there are."""
    from foldnet.zoo.shortest_paths import PathNetwork

    return PathNetwork(options.depth, options.width, channels, recall=options.recall)


def _wide_illegal(options: WideOptions, soft: bool) -> str | None:
    """Stages have whole blocks, and what shares has a second one."""
    least = 16 if soft else 10
    if options.depth < least or (options.depth - 4) % 6:
        return f"has depth {options.depth}; legal depths are {least}, {least + 6}, {least + 12}, ..."
    return None


def _steps_illegal(options: StepOptions, soft: bool) -> str | None:
    """One step shares with none."""
    least = 2 if soft else 1
    return f"has depth {options.depth}; the least is {least}" if options.depth < least else None


FAMILIES: dict[str, Family] = {
    "wrn": Family(
        "wrn",
        WideOptions,
        _wide,
        layers=lambda options: (options.depth - 4) // 3 - 2,  # convolutions of a stage: all but the first block's
        illegal=_wide_illegal,
        trains_with=("dropout", "cutout"),
        published=(
            *("swrn-28-2-4", "swrn-28-2-1", "swrn-28-4-2", "swrn-28-4-4", "swrn-28-10-1", "swrn-28-10-2"),
            *("swrn-28-10-4", "swrn-28-10", "swrn-28-10-6", "swrn-28-14-2", "swrn-28-18-2", "swrn-40-8-8"),
            *("swrn-40-1-8", "swrn-28-1-4", "wrn-16-8", "wrn-28-2", "wrn-28-4", "wrn-28-10", "wrn-40-4", "wrn-40-8"),
        ),
    ),
    "cnn": Family(
        "cnn",
        StepOptions,
        _steps,
        layers=lambda options: int(options.depth),
        illegal=_steps_illegal,
        task="cells",
        of="cells of grids",
        channels=2,
        trains_with=("progressive",),
        published=("cnn-20-32", "scnn-20-32-20", "scnn-20-32-1"),
    ),
}


def published() -> tuple[str, ...]:
    """Names from the paper's tables and figures, offered where a name is not legal."""
    return tuple(name for family in FAMILIES.values() for name in family.published)


def family_of(arch: str) -> tuple[Family | None, bool]:
    """The family that a name begins with, None where it is not known, and whether it is a soft one's."""
    word = arch.split("-")[0]
    if word in FAMILIES:
        return FAMILIES[word], False
    return (FAMILIES.get(word[1:]), True) if word.startswith("s") else (None, False)


def is_soft(arch: str) -> bool:
    """Whether a name is that of a network whose layers share templates."""
    family, soft = family_of(arch)
    return soft and family is not None
