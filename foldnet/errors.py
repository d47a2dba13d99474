"""Everything that foldnet raises on purpose.

FoldnetError
├── SettingError      a value that is not legal, or two that contradict each other
├── UnknownName       a name (architecture, dataset, layer, group, loop) that does not exist
├── ShapeMismatch     layers that cannot share one bank, or tensors that do not fit a network
├── DataError         a dataset that is missing, damaged or not what it says
├── RunError          a run or fold folder that is missing, empty, truncated, foreign or changed since
├── OutputError       a place that cannot be written, or that holds something already
├── NothingToFold     a network without shared groups, or a request that no fold can meet
├── TrainingDiverged  a loss that is not a number
├── ProcessLost       another process of one training died
├── BrokenPromise     a fold that is not what it says
└── MissingTool       a program or an optional package that is not installed

FoldnetWarning        what foldnet goes on with although something about it could not be checked
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import SequenceMatcher

LIKE = 0.5  # likeness (0..1) from which a name is worth suggesting


class FoldnetError(Exception):
    """The family: one sentence with the offending value, the place and the mend."""


class FoldnetWarning(UserWarning):
    """Something that foldnet goes on with although it could not check it."""


class SettingError(FoldnetError):
    """A value that is not legal, or two values that contradict each other."""


class UnknownName(FoldnetError):
    """A name that does not exist."""


class ShapeMismatch(FoldnetError):
    """Layers that cannot share one bank, or tensors that do not fit a network."""


class DataError(FoldnetError):
    """A dataset that is missing, damaged or not what it says."""


class RunError(FoldnetError):
    """A run or fold folder that is missing, empty, truncated, foreign or changed since it was written."""


class OutputError(FoldnetError):
    """A place that cannot be written, or that holds something already."""


class NothingToFold(FoldnetError):
    """A network without shared groups, or a request that no fold can meet."""


class TrainingDiverged(FoldnetError):
    """A loss that is not a number."""


class ProcessLost(FoldnetError):
    """Another process of one training died; `told` where it says itself what is wrong."""

    def __init__(self, sentence: str, *, told: bool = False) -> None:
        super().__init__(sentence)
        self.told = told


class BrokenPromise(FoldnetError):
    """A fold that is not what it says, or forms of one network that should compute the same and do not."""


class MissingTool(FoldnetError):
    """A program or an optional package that is not installed."""


def nearest(name: str, known: Iterable[str], *, say: int = 3) -> str:
    """The known names like `name`, as the end of a sentence: "; did you mean 'a' or 'b'?", or nothing."""
    matcher, likeness = SequenceMatcher(b=name), {}
    for entry in in_order(set(known)):
        matcher.set_seq1(entry)
        if matcher.quick_ratio() >= LIKE:  # cheap, and never less than ratio
            likeness[entry] = matcher.ratio()
    close = sorted((entry for entry, ratio in likeness.items() if ratio >= LIKE), key=lambda entry: -likeness[entry])
    return said_to_be_meant(in_order(close[:say]))


def check_known(names: Iterable[str], known: Collection[str], said: Callable[[str], str], otherwise: str = "") -> None:
    """Raise UnknownName for the first name that isn't known: what is `said` of it, and what is meant or `otherwise`."""
    for name in names:
        if name not in known:
            raise UnknownName(f"{said(name)}{nearest(str(name), known) or otherwise}")


def either(names: Iterable[str], word: str = "or") -> str:
    """Names of which one is to be taken: "a, b or c"; with another word, of all of them."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def said_to_be_meant(names: Sequence[str]) -> str:
    """Names as the end of a sentence: "; did you mean 'a' or 'b'?", or nothing where there are none."""
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""


def in_order(names: Iterable[str]) -> list[str]:
    """Names as people count: stage2 comes before stage10."""

    def parts(name: str) -> list[tuple[int, str]]:
        """Text and numbers in turn, a number by its length first; int would refuse one of thousands of digits."""
        found = re.split(r"(\d+)", name)
        return [(len(part.lstrip("0")), part.lstrip("0")) if at % 2 else (0, part) for at, part in enumerate(found)]

    return sorted(names, key=lambda name: (parts(name), name))
