"""What may be meant by a name of a network that is not legal."""

import re
from difflib import get_close_matches

from foldnet.errors import in_order
from foldnet.zoo.families import DEEPEST, FAMILIES, MOST, Family, family_of, published

LIKE = 0.6  # likeness (0..1) from which letters are taken for those of a family


def near_names(arch: str) -> list[str]:
    """The legal name nearest to a name, which need not be legal: its family and, of its numbers, those that are.

    Where a number is missing, published names that begin so; nothing where no family is near.
    """
    ours = [name for name, family in FAMILIES.items() if not family.outside]
    whole = "|".join(re.escape(name) for name in ours if not name.isalpha())  # the digit in cnn1d is no option
    parts = re.fullmatch(f"(s?(?:{whole})(?![a-z])|[a-z_-]*)(.*)", arch.lower(), re.DOTALL)
    assert parts is not None
    letters, rest = parts.groups()
    letters = re.sub("[_-]", "", letters)  # densenet-bc is a common spelling
    words = get_close_matches(letters, [f"{s}{name}" for name in ours for s in ("", "s")], 1, LIKE)
    given = [int(number) for number in re.findall(r"(?<![0-9])[0-9]{1,9}(?![0-9])", rest)]
    if not words or not given:
        return []
    family, soft = family_of(words[0])
    assert family is not None
    wanted = len(family.numbers)
    soft = soft or len(given) > wanted
    if soft and family.soft_as:
        family = FAMILIES[family.soft_as]
    first = _nearest_legal(family, given[0], soft)
    if len(given) < wanted:
        start = f"{'s' * soft}{family.named([first])}-"
        return in_order(known for known in published() if known.startswith(start))[:3]
    numbers = [first, *(min(max(number, 1), MOST) for number in given[1:wanted])]
    if family.illegal(family.options(*numbers), soft) is not None:
        return []
    most = family.layers(family.options(*numbers))
    templates = [str(min(max(number, 1), most)) for number in given[wanted : wanted + 1]]
    flags = (flag for flag in family.flags if rest.endswith(f"-{flag}"))
    return ["-".join([f"{'s' * soft}{family.named(numbers)}", *templates, *flags])]


def _nearest_legal(family: Family, number: int, soft: bool) -> int:
    """The first number of a name nearest to this one that networks of a family have."""
    ones = [1] * (len(family.numbers) - 1)
    legal = [tried for tried in range(1, DEEPEST + 1) if family.illegal(family.options(tried, *ones), soft) is None]
    return min(legal, key=lambda tried: (abs(tried - number), tried))
