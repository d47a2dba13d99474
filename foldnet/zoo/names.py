"""What a network's name means: wrn-28-10 is plain, swrn-28-10-4 shares four templates a stage."""

import re
from dataclasses import dataclass

from foldnet.errors import UnknownName, nearest

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
)
LEGAL = "legal names are wrn-DEPTH-WIDTH and swrn-DEPTH-WIDTH[-TEMPLATES]"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A name taken apart. `templates` is the number of templates a group; None for a network that shares nothing."""

    name: str
    depth: int
    width: int
    templates: int | None


def parse_name(name: str) -> Architecture:
    """Take a name such as "swrn-28-10-4" apart.

    A soft name without its last number has one template a shared layer. Raises UnknownName, saying what is legal and which
    published names are near.
    """
    match = re.fullmatch(r"(s?)wrn-(\d{1,4})-(\d{1,3})(?:-(\d{1,4}))?", name, re.ASCII)
    if match is None:
        raise UnknownName(f"architecture '{name}' is not known; {LEGAL}{nearest(name, PUBLISHED)}")
    soft, depth, width = match[1] == "s", int(match[2]), int(match[3])
    least = 16 if soft else 10
    if depth < least or (depth - 4) % 6:
        steps = f"{least}, {least + 6}, {least + 12}, ..."
        raise UnknownName(
            f"architecture '{name}' has depth {depth}; legal depths are {steps}{nearest(name, PUBLISHED)}"
        )
    if width < 1:
        raise UnknownName(f"architecture '{name}' has width {width}; the least is 1{nearest(name, PUBLISHED)}")
    if not soft:
        if match[4] is not None:
            raise UnknownName(f"architecture '{name}' is plain and has no templates; did you mean 's{name}'?")
        return Architecture(name, depth, width, None)
    shared = (depth - 4) // 3 - 2  # convolutions of a stage that share: all but the first block's
    templates = int(match[4]) if match[4] is not None else shared
    if not 1 <= templates <= shared:
        raise UnknownName(
            f"architecture '{name}' asks for {templates} templates; depth {depth} has {shared} layers a group, "
            f"so 1 to {shared} are legal{nearest(name, PUBLISHED)}"
        )
    return Architecture(name, depth, width, templates)
