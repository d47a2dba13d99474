"""What is legal for each number that a user or a file may set: a lower and an upper bound, written once."""

import math
from dataclasses import dataclass
from typing import Any

from foldnet.errors import SettingError

SHOWN = 60  # characters of an illegal value that are shown


@dataclass(frozen=True, slots=True)
class Bound:
    """From `least` to `most`, or with `above` from just above `least`; `whole` numbers alone, or any but nan."""

    least: float
    most: float
    whole: bool = True
    above: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is such a number; true and false are none."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return bool(self.least <= value <= self.most) and not (self.above and value == self.least)

    def __str__(self) -> str:
        """What is legal, in words."""
        kind = "a whole number" if self.whole else "a number"
        if math.isinf(self.most):
            return f"{kind} {'above' if self.above else 'of at least'} {self.least:.10g}"
        between = f"above {self.least:.10g}, at most" if self.above else f"from {self.least:.10g} to"
        return f"{kind} {between} {self.most:.10g}"


def _number(least: float, most: float, *, above: bool = False) -> Bound:
    """A bound of any number."""
    return Bound(least, most, whole=False, above=above)


# The upper bounds are beyond all sense and below what exhausts a machine before anything can be said.
BOUNDS: dict[str, Bound] = {
    # training
    "epochs": Bound(1, 10_000),
    "batch_size": Bound(2, 65_536),
    **dict.fromkeys(("lr", "finetune_lr"), _number(0, 1000, above=True)),
    **dict.fromkeys(("weight_decay", "recurrence"), _number(0, 1000)),
    **dict.fromkeys(("momentum", "progressive"), _number(0, 1)),
    "seed": Bound(0, 2**32 - 1),
    "validation": _number(0, 10**9),
    "image_size": Bound(4, 4096),
    "dropout": _number(0, 0.99),
    "cutout": Bound(0, 10_000),
    "checkpoint_every": _number(0, math.inf),
    # grids
    "grid": Bound(2, 1024),
    **dict.fromkeys(("size", "window", "windows"), Bound(3, 1023)),
    "obstacles": _number(0, 1),
    **dict.fromkeys(("examples", "test_examples", "count"), Bound(1, 10**8)),
    "pictures": Bound(1, 1000),
    "phase": Bound(1, 10_000),
    # folding
    "threshold": _number(0, 1),
    "max_drop": _number(0, 100),
    "finetune": Bound(0, 10_000),
    # turning loops and measuring
    "steps": Bound(0, 10_000),
    **dict.fromkeys(("trips", "most"), Bound(1, 10_000)),
    "images": Bound(1, 10**9),
    **dict.fromkeys(("repeats", "rounds"), Bound(1, 10**6)),  # rounds are the `steps` of bench train
    "batch_sizes": Bound(1, 65_536),
    "threads": Bound(1, 1024),
    # networks
    **dict.fromkeys(("classes", "weight_side"), Bound(1, 10**6)),
    **dict.fromkeys(("channels", "side"), Bound(1, 4096)),
    "owners": Bound(1, 10_000),
    **dict.fromkeys(("templates", "layers", "groups"), Bound(1, 1000)),
    "weight_numbers": Bound(1, 10**12),
}


def check_number(name: str, value: Any, *, bound: Bound | None = None, field: str | None = None) -> None:
    """Raise SettingError unless `value` is legal for the setting `name`, by its own bounds or by others.

    The sentence speaks of the setting, or of a `field` of a file.
    """
    bound = bound or BOUNDS[name]
    if not bound.holds(value):
        called = f"{field} {shown(value)}" if field else as_code(name, value)
        raise SettingError(f"{called} is not legal; give {bound}")


def as_code(setting: str, value: Any) -> str:
    """A setting with its value, as Python writes it: `lr=0.1`."""
    return f"`{setting}={shown(value)!r}`" if isinstance(value, str) else f"`{setting}={shown(value)}`"


def shown(value: Any) -> str:
    """A value short enough for a sentence."""
    try:
        text = str(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    if not isinstance(value, str):  # networks and tensors are written over many lines
        text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
