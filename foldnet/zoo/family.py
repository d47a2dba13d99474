"""What a family of networks is: what is chosen of one, how that is written in a name, and how a network is made. Knows
no torch until a network is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

DIGITS = 4  # of a number in a name


@dataclass(frozen=True, slots=True)
class Family:
    """Networks of one kind. `options` is a frozen dataclass of what is chosen: its whole numbers without a default
    stand in the name in order, those that are true or false at its end; what else it has is no part of the name, such
    as a `dropout` rate or the `size` of inputs.

    `make` (options, channels, outputs) gives the plain network. `layers` says how many layers of a group share, which
    is the most templates; `illegal` (options, soft) what is wrong with some options, as the end of a sentence. `task`
    is what its networks answer for, `of` the same in words. Inputs are images with so many `channels`, of that `size`
    where nothing else is said, or with `symbols` sequences of `size` whole numbers below that. `trains_with` names
    training settings that have a meaning for this family, `preset` changes their defaults where a source does not.
    `times` names the number that follows the one before by an x. Where no layers share, `soft_as` is the family to take
    instead.
    """

    name: str
    options: type[Any]
    make: Callable[[Any, int, int], nn.Module]
    layers: Callable[[Any], int]
    illegal: Callable[[Any, bool], str | None] = lambda options, soft: None
    task: str = "classes"
    of: str = "classes of images"
    channels: int = 3
    size: int = 32
    symbols: int = 0
    published: tuple[str, ...] = ()
    trains_with: tuple[str, ...] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)
    times: str = ""
    soft_as: str = ""

    @property
    def outside(self) -> bool:
        """Whether its networks are written by others, so that no numbers stand in their names."""
        return False

    def begins(self, arch: str) -> bool | None:
        """Whether a name is that of a soft network, where it begins as the family's do; None where it does not."""
        word = arch.split("-")[0]
        return {self.name: False, f"s{self.name}": True}.get(word)

    def record(self, options: Any, structure: Callable[[], str]) -> dict[str, Any]:
        """What a config.json keeps of who made the network, whose `structure` can be asked for: nothing where foldnet
        did."""
        return {}

    def make_checked(self, options: Any, channels: int, outputs: int) -> nn.Module:
        """The network. Raises RunError where a folder is opened whose network was another one."""
        return self.make(options, channels, outputs)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The options that stand in a name as numbers, in order."""
        whole = (entry for entry in fields(self.options) if entry.type in ("int", int))
        return tuple(entry.name for entry in whole if entry.default is MISSING)

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that a name ends in where they are true."""
        return tuple(entry.name for entry in fields(self.options) if entry.type in ("bool", bool))

    @property
    def form(self) -> str:
        """What a name looks like, such as "wrn-DEPTH-WIDTH and swrn-DEPTH-WIDTH[-TEMPLATES]"."""
        plain, end = self.named(list(map(str.upper, self.numbers))), "".join(f"[-{flag}]" for flag in self.flags)
        return f"{plain}{end}" + ("" if self.soft_as else f" and s{plain}[-TEMPLATES]{end}")

    def named(self, numbers: Sequence[object]) -> str:
        """The name with these numbers, or the beginning of one where some are missing: "resnext-29-8x64"."""
        return self.name + "".join(f"{before}{number}" for before, number in zip(self._before(), numbers, strict=False))

    def numbers_in(self, rest: str) -> list[int] | None:
        """The numbers in a name behind its first word, such as "-29-8x64-2", that of templates last; None where they
        are not written as the family's are."""
        pattern = "".join(f"{before}([0-9]{{1,{DIGITS}}})" for before in self._before())
        found = re.fullmatch(f"{pattern}(?:-([0-9]{{1,{DIGITS}}}))?", rest)
        return None if found is None else [int(number) for number in found.groups() if number is not None]

    def _before(self) -> list[str]:
        """What stands before each number."""
        return ["x" if name == self.times else "-" for name in self.numbers]
