"""Blueprints: what a network is built from, as plain data, with a text form such as "swrn-28-10-4".

wrn-28-10 is plain, swrn-28-10-4 shares four templates a stage, scnn-20-32-20 finds paths. Knows no torch until it
builds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from foldnet.bounds import check_number, checked, shown
from foldnet.errors import UnknownName, in_order, said_to_be_meant
from foldnet.store.codec import from_plain
from foldnet.zoo.families import DEEPEST, FAMILIES, Family, family_of, legal_names, published

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST = 999  # of a number that is no depth
LIKE = 0.6  # likeness (0..1) from which letters are taken for those of a family


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A network before it is built. `arch` is its name; `templates` are those of a group, None where nothing is shared.

    `channels` and `size` are those of the inputs (a network of images takes any size that its strides allow), `classes`
    what it chooses from. With `ties`, as (group, owner of each layer), layers share hard from the start.
    """

    arch: str
    family: Family
    options: Any
    templates: int | None
    classes: int = 10
    channels: int = 3
    size: int = 32
    ties: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def task(self) -> str:
        """What the network answers for, a name in TASKS."""
        return self.family.task

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (channels, h, w) of an image, (length,) of a sequence of symbols."""
        return (self.size,) if self.family.symbols else (self.channels, self.size, self.size)

    def random_inputs(self, count: int, seed: int) -> Tensor:
        """Inputs that the network takes, (count, *shape) on the CPU, by a seed: normal numbers, or symbols."""
        import torch

        generator, shape = torch.Generator().manual_seed(seed), (count, *self.shape)
        if self.family.symbols:
            return torch.randint(self.family.symbols, shape, generator=generator)
        return torch.randn(*shape, generator=generator)

    @property
    def plain(self) -> Blueprint:
        """The network of this shape that shares nothing."""
        return replace(self, arch=self._named(), templates=None, ties=())

    def soft(self, templates: int) -> Blueprint:
        """The network of this shape whose groups have so many templates each. Raises UnknownName where none has."""
        shape = {name: getattr(self, name) for name in ("classes", "channels", "size", "dropout")}
        return blueprint(f"s{self._named(templates)}", **shape)

    def _named(self, *templates: int) -> str:
        """The plain network's name, with numbers of templates behind its own."""
        name = self.family.named([getattr(self.options, name) for name in self.family.numbers])
        flags = (flag for flag in self.family.flags if getattr(self.options, flag))
        return "-".join([name, *map(str, templates), *flags])

    @property
    def dropout(self) -> float:
        """The dropout rate, 0 where the family has none."""
        return float(getattr(self.options, "dropout", 0.0))

    def build(self) -> nn.Module:
        """The network, freshly initialised (under torch.device("meta"): not allocated)."""
        network = self.build_plain()
        if self.templates is None and not self.ties:
            return network
        from foldnet.sharing.plan import plan_sharing

        plan = plan_sharing(network, self.templates)
        if self.ties:
            from foldnet.sharing.tied import tie_from_start

            return tie_from_start(network, plan, dict(self.ties))
        from foldnet.sharing.share import share

        return share(network, plan)

    def build_plain(self) -> nn.Module:
        """The network whose layers have weights of their own."""
        return self.family.make(self.options, self.channels, self.classes)


def blueprint(
    arch: str, *, classes: int = 10, channels: int | None = None, size: int | None = None, dropout: float = 0.0
) -> Blueprint:
    """The blueprint by a name such as "swrn-28-10-4" or "scnn-20-32-1-recall"; `dropout` where the family has that
    option, `channels` and `size` those of its inputs where they are not given.

    A soft name without its number of templates has one template a shared layer. Raises UnknownName, saying what is
    legal and which legal name is near.
    """
    family, soft = family_of(arch)
    parts = arch.split("-")
    flags = []
    while family is not None and parts[1:] and parts[-1] in family.flags and parts[-1] not in flags:
        flags.append(parts.pop())
    numbers = None if family is None else family.numbers_in("-".join(["", *parts[1:]]))
    if family is None or numbers is None:
        legal = f"legal names are {legal_names()}"
        raise UnknownName(f"architecture '{shown(arch)}' is not known; {legal}{_near(shown(arch))}")
    wanted = len(family.numbers)
    size = size or family.size
    known = {entry.name for entry in fields(family.options)}
    further = {name: value for name, value in (("dropout", dropout), ("size", size)) if name in known}
    options = family.options(*numbers[:wanted], **further, **dict.fromkeys(flags, True))
    wrong = _wrong(family, options, soft, numbers[wanted:])
    if wrong is not None:
        raise UnknownName(f"architecture '{arch}' {wrong}{_near(arch)}")
    templates = (numbers[wanted:] or [family.layers(options)])[0] if soft else None
    return Blueprint(arch, family, options, templates, classes, channels or family.channels, size)


@checked
def build(
    name: str, *, classes: int = 10, channels: int | None = None, size: int | None = None, dropout: float = 0.0
) -> nn.Module:
    """A freshly initialised network: build("wrn-28-10") is plain, build("swrn-28-10-4") is soft.

    Shapes: the network maps x (n, channels, h, w) to logits (n, classes), one that answers for cells to (n, h, w),
    whatever `classes` and `dropout` are. `channels` is 3 where it is not given, 2 for cells. A gpt maps bytes
    (n, length) int64 to logits (n, length, 256), `length` up to `size`, 128 where that is not given. Under
    torch.device("meta") nothing is allocated. Raises UnknownName for an illegal name.
    """
    return blueprint(name, classes=classes, channels=channels, size=size, dropout=dropout).build()


def shape_of(built: Blueprint) -> dict[str, Any]:
    """What a network was built for, as config.json has it."""
    ties = {"ties": {group: list(owners) for group, owners in built.ties}} if built.ties else {}
    return {"classes": built.classes, "channels": built.channels, "size": built.size} | ties


def blueprint_in(network: Mapping[str, Any], arch: str, dropout: float) -> Blueprint:
    """The blueprint in a config.json. Raises SettingError and UnknownName for what no network has, KeyError where it is
    missing."""
    for name, bound in (("classes", "classes"), ("channels", "channels"), ("size", "side")):
        check_number(bound, network[name], field=f"'{name}'")
    shape = {name: network[name] for name in ("classes", "channels", "size")}
    ties = from_plain(dict[str, tuple[int, ...]], network.get("ties", {}))
    return replace(blueprint(arch, **shape, dropout=dropout), ties=tuple(ties.items()))


def _wrong(family: Family, options: Any, soft: bool, templates: list[int]) -> str | None:
    """What is wrong with options, and numbers of templates, that no network has, as the end of a sentence."""
    if getattr(options, "depth", 0) > DEEPEST:
        return f"has depth {options.depth}; the most is {DEEPEST}"
    wrong = family.illegal(options, soft)
    if wrong is not None:
        return wrong
    for name in family.numbers:
        number = getattr(options, name)
        if not 1 <= number <= MOST + (name == "depth"):
            return f"has {name} {number}; the {'least is 1' if number < 1 else f'most is {MOST}'}"
    if not soft:
        return "is plain and has no templates" if templates else None
    most = family.layers(options)
    if all(1 <= number <= most for number in templates or [most]):
        return None
    of = f"depth {options.depth}" if hasattr(options, "depth") else "the network"
    asked = f"asks for {templates[0] if templates else most} templates"
    return f"{asked}; {of} has {most} layers a group, so 1 to {most} are legal"


def _near(arch: str) -> str:
    """What may be meant by a name that is not legal, as the end of a sentence."""
    return said_to_be_meant(near_names(arch))


def near_names(arch: str) -> list[str]:
    """The legal name nearest to a name, which need not be legal: its family and, of its numbers, those that are.

    Where a number is missing, published names that begin so; nothing where no family is near.
    """
    letters, rest = re.fullmatch(r"([a-z_-]*)(.*)", arch.lower(), re.DOTALL).groups()  # type: ignore[union-attr]
    letters = re.sub("[_-]", "", letters)  # densenet-bc is a common spelling
    words = get_close_matches(letters, [f"{s}{name}" for name in FAMILIES for s in ("", "s")], 1, LIKE)
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
