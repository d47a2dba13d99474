"""What a network's name means: wrn-28-10 is plain, swrn-28-10-4 shares four templates a stage, scnn-20-32-20 finds paths."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from foldnet.bounds import shown
from foldnet.errors import UnknownName, in_order, said_to_be_meant

# Names from the paper's tables and figures, offered where a name is not legal.
PUBLISHED = (
    *(
        "swrn-28-2-4",
        "swrn-28-2-1",
        "swrn-28-4-2",
        "swrn-28-4-4",
        "swrn-28-10-1",
        "swrn-28-10-2",
        "swrn-28-10-4",
    ),
    *(
        "swrn-28-10",
        "swrn-28-10-6",
        "swrn-28-14-2",
        "swrn-28-18-2",
        "swrn-40-8-8",
        "swrn-40-1-8",
        "swrn-28-1-4",
    ),
    *("wrn-16-8", "wrn-28-2", "wrn-28-4", "wrn-28-10", "wrn-40-4", "wrn-40-8"),
    *("cnn-20-32", "scnn-20-32-20", "scnn-20-32-1"),
)
LEGAL = (
    "legal names are wrn-DEPTH-WIDTH and swrn-DEPTH-WIDTH[-TEMPLATES] for classes of images, "
    "cnn-DEPTH-WIDTH and scnn-DEPTH-WIDTH[-TEMPLATES] for cells of grids, the last two perhaps with -recall"
)
RECALL = "-recall"
FAMILIES = ("wrn", "swrn", "cnn", "scnn")
LIKE = 0.6  # likeness (0..1) from which letters are taken for those of a family
WIDEST = 999
DEEPEST = 1000  # layers: making more modules than that takes longer than a user waits


@dataclass(frozen=True, slots=True)
class Architecture:
    """A name taken apart. `templates` is the number of templates a group; None for a network that shares nothing.

    `family` is "wrn", whose answer is one of some classes, or "cnn", which answers for every cell; with `recall` each of its
    steps sees the input again.
    """

    name: str
    depth: int
    width: int
    templates: int | None
    family: str = "wrn"
    recall: bool = False

    @property
    def plain_name(self) -> str:
        """The name of the network of this shape that shares nothing."""
        return f"{self.family}-{self.depth}-{self.width}{RECALL if self.recall else ''}"

    @property
    def answers_for(self) -> str:
        """ "classes" or "cells"."""
        return "cells" if self.family == "cnn" else "classes"


def parse_name(name: str) -> Architecture:
    """Take a name such as "swrn-28-10-4" or "scnn-20-32-1-recall" apart.

    A soft name without its number of templates has one template a shared layer. Raises UnknownName, saying what is legal and
    which legal name is near.
    """
    match = re.fullmatch(r"(s?)(wrn|cnn)-(\d{1,4})-(\d{1,3})(?:-(\d{1,4}))?(-recall)?", name, re.ASCII)
    if match is None or (match[2] == "wrn" and match[6]):
        raise UnknownName(f"architecture '{shown(name)}' is not known; {LEGAL}{_suggested(name)}")
    if int(match[3]) > DEEPEST:
        raise UnknownName(f"architecture '{name}' has depth {match[3]}; the most is {DEEPEST}{_suggested(name)}")
    soft, family, depth, width = match[1] == "s", match[2], int(match[3]), int(match[4])
    shared = _shared_layers(name, family, depth, soft)
    if width < 1:
        raise UnknownName(f"architecture '{name}' has width {width}; the least is 1{_suggested(name)}")
    recall = match[6] is not None
    if not soft:
        if match[5] is not None:
            raise UnknownName(f"architecture '{name}' is plain and has no templates{_suggested(name)}")
        return Architecture(name, depth, width, None, family, recall)
    templates = int(match[5]) if match[5] is not None else shared
    if not 1 <= templates <= shared:
        raise UnknownName(
            f"architecture '{name}' asks for {templates} templates; depth {depth} has {shared} layers a group, "
            f"so 1 to {shared} are legal{_suggested(name)}"
        )
    return Architecture(name, depth, width, templates, family, recall)


def _suggested(name: str) -> str:
    """The legal name nearest to one that is not, as the end of a sentence: its family and, of its numbers, those that are legal.

    Where it has no width, published names of that family and depth; nothing where no family is near.
    """
    letters, rest = re.fullmatch(r"([a-z]*)(.*)", name.lower(), re.DOTALL).groups()  # type: ignore[union-attr]
    families = get_close_matches(letters, FAMILIES, 1, LIKE)
    numbers = [int(number) for number in re.findall(r"(?<![0-9])[0-9]{1,9}(?![0-9])", rest)]
    if not families or not numbers:
        return ""
    soft = families[0].startswith("s") or len(numbers) > 2
    family = families[0].removeprefix("s")
    depth = _legal_depth(numbers[0], family, soft)
    start = f"{'s' * soft}{family}-{depth}-"
    if len(numbers) == 1:
        return said_to_be_meant(in_order(known for known in PUBLISHED if known.startswith(start))[:3])
    near = f"{start}{min(max(numbers[1], 1), WIDEST)}"
    if len(numbers) > 2:
        near += f"-{min(max(numbers[2], 1), _shared_layers(near, family, depth, soft))}"
    return said_to_be_meant([near + RECALL * (family == "cnn" and rest.endswith(RECALL))])


def _legal_depth(depth: int, family: str, soft: bool) -> int:
    """The depth nearest to this one that networks of a family have."""
    if family == "cnn":
        return min(max(depth, 2 if soft else 1), DEEPEST)
    return 4 + 6 * min(max(round((depth - 4) / 6), 2 if soft else 1), (DEEPEST - 4) // 6)


def _shared_layers(name: str, family: str, depth: int, soft: bool) -> int:
    """How many layers of a group share. Raises UnknownName where no network has that depth."""
    if family == "cnn":
        least = 2 if soft else 1
        if depth < least:
            raise UnknownName(f"architecture '{name}' has depth {depth}; the least is {least}{_suggested(name)}")
        return depth
    least = 16 if soft else 10
    if depth < least or (depth - 4) % 6:
        steps = f"{least}, {least + 6}, {least + 12}, ..."
        raise UnknownName(f"architecture '{name}' has depth {depth}; legal depths are {steps}{_suggested(name)}")
    return (depth - 4) // 3 - 2  # convolutions of a stage that share: all but the first block's
