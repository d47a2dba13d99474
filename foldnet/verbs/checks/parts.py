"""What one check of a machine measures: parts, each a number and the limit that it must keep to, or that it has no
place there."""

import math
from dataclasses import dataclass
from typing import ClassVar


class NotHere(Exception):
    """What a check is about is not offered by this machine; the sentence says what is missing."""


@dataclass(frozen=True, slots=True)
class Part:
    """One number of a check: `value` may be `limit` at most, or with `at_least` at least. What is no number keeps to no
    limit."""

    unwritten: ClassVar = ("at_least",)
    computed: ClassVar = ("rule", "held")
    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def held(self) -> bool:
        """Whether the value keeps to its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def used(self) -> float:
        """How much of what is allowed is used up: 1 at the limit, above it more."""
        top, bottom = (self.limit, self.value) if self.at_least else (self.value, self.limit)
        if math.isnan(self.value):
            return math.inf
        return top / bottom if bottom else (math.inf if top else 0.0)

    @property
    def rule(self) -> str:
        """What the limit is."""
        return "at least" if self.at_least else "at most"
