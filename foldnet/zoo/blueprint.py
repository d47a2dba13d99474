"""Blueprints: what a network is built from, as plain data. Knows no torch until it builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from foldnet.bounds import as_code, check_number, checked, shown
from foldnet.errors import SettingError, UnknownName, said_to_be_meant
from foldnet.zoo.families import DEEPEST, MOST, Family, family_of, legal_names
from foldnet.zoo.family import Outside, arch_named, runs_code

if TYPE_CHECKING:
    from torch import Tensor, nn

    from foldnet.sharing.chosen import ChosenGroup
    from foldnet.sharing.plan import SharingPlan


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A network before it is built. `arch` is its name; `templates` are those of a group, None where nothing is shared.

    `channels` and `size` are those of the inputs (a network of images takes any size that its strides allow), `classes`
    what it chooses from. With `ties`, as (group, owner of each layer), layers share hard from the start; where `groups`
    are chosen, these share and no others. `coefficients` are "learnt", or "fixed" where they stay as they begin: 1
    where a group has one template, so that its layers are one. `asked` is the task of its data where that is one that
    the family answers for `also`.
    """

    arch: str
    family: Family
    options: Any
    templates: int | None
    classes: int = 10
    channels: int = 3
    size: int = 32
    ties: tuple[tuple[str, tuple[int, ...]], ...] = ()
    group_by: str = "stage"
    groups: tuple[ChosenGroup, ...] = ()
    coefficients: str = "learnt"
    asked: str = ""

    @property
    def task(self) -> str:
        """What the network answers for, a name in TASKS."""
        return self.asked or self.family.task

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (channels, h, w) of an image, (channels, length) of a string, (length,) of a sequence
        of symbols."""
        return (self.size,) if self.family.symbols else (self.channels, *(self.size,) * self.family.dims)

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
        arch = self.arch if self.family.outside else self._named()
        return replace(self, arch=arch, templates=None, ties=(), group_by="stage", groups=(), coefficients="learnt")

    def soft(self, templates: int) -> Blueprint:
        """The network of this shape whose groups have so many templates each; of others' networks, at most. Raises
        UnknownName where none has."""
        if self.family.outside:
            return replace(self, templates=templates, ties=(), groups=())
        shape = {name: getattr(self, name) for name in ("classes", "channels", "size", "group_by")}
        return replace(blueprint(f"s{self._named(templates)}", **shape, **self._chosen()), asked=self.asked)

    def _named(self, *templates: int) -> str:
        """The plain network's name, with numbers of templates behind its own."""
        name = self.family.named([getattr(self.options, name) for name in self.family.numbers])
        flags = (flag for flag in self.family.flags if getattr(self.options, flag))
        return "-".join([name, *map(str, templates), *flags])

    def _chosen(self) -> dict[str, Any]:
        """What is chosen of the network that stands in no name, but for defaults, by the keywords of `blueprint`."""
        usual = {entry.name: entry.default for entry in fields(self.options)}
        chosen = ((name, getattr(self.options, name)) for name in ("dropout", "norm", "step_scale") if name in usual)
        return {name: value for name, value in chosen if value != usual[name]}

    @property
    def dropout(self) -> float:
        """The dropout rate, 0 where the family has none."""
        return float(getattr(self.options, "dropout", 0.0))

    def build(self) -> nn.Module:
        """The network, freshly initialised (under torch.device("meta"): not allocated)."""
        network = self.build_plain()
        if self.templates is None and not self.ties:
            return network
        plan = self.plan(network)
        if self.ties:
            from foldnet.sharing.tied import tie_from_start

            return tie_from_start(network, plan, dict(self.ties))
        from foldnet.sharing.share import fix_coefficients, share

        shared = share(network, plan)
        return fix_coefficients(shared, network) if self.coefficients == "fixed" else shared

    def plan(self, network: nn.Module) -> SharingPlan:
        """Who shares with whom in the plain network."""
        from foldnet.sharing.plan import plan_sharing

        if self.groups:
            from foldnet.sharing.chosen import plan_of_groups

            return plan_of_groups(network, self.groups)
        return plan_sharing(network, self.templates, group_by=self.group_by)

    def build_plain(self) -> nn.Module:
        """The network whose layers have weights of their own."""
        return self.family.make_checked(self.options, self.channels, self.classes)

    def structure(self) -> str:
        """What tells the network of a library from another of its name."""
        import torch

        from foldnet.zoo.external import structure_of

        with torch.device("meta"):
            return structure_of(self.build_plain())

    @contextmanager
    def to_be_filled(self) -> Iterator[None]:
        """Where networks are made whose tensors come from a file: unallocated, but for those of others, which may hold
        numbers that no file does. Random states stay untouched."""
        import torch

        with torch.device("cpu" if self.family.outside else "meta"), torch.random.fork_rng([]):
            yield

    @property
    def named(self) -> dict[str, Any]:
        """What is chosen of the network besides its name, by the keywords of `blueprint`; what it has not is left out,
        and the templates that stand in its name."""
        found: dict[str, Any] = {"dropout": self.dropout} | self._chosen()
        usual = {"coefficients": "learnt", "group_by": "stage"}
        found |= {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}
        if self.family.outside:
            given = {key: list(value) if isinstance(value, tuple) else value for key, value in self.options.given}
            found |= {key: value for key, value in (("templates", self.templates), ("arch_option", given)) if value}
        return found


def blueprint(
    arch: str,
    *,
    classes: int = 10,
    channels: int | None = None,
    size: int | None = None,
    dropout: float = 0.0,
    templates: int | None = None,
    arch_option: Mapping[str, Any] | None = None,
    group_by: str = "stage",
    network: Mapping[str, Any] | None = None,
    norm: str = "batch",
    step_scale: float = 0.0,
    coefficients: str = "learnt",
) -> Blueprint:
    """The blueprint by a name such as "swrn-28-10-4", "scnn-20-32-1-recall" or "timm/resnet18"; `dropout` where the
    family has that option, `channels` and `size` those of its inputs where they are not given. `templates` makes any
    network soft, as the s- names do; a group has at most its layers. `group_by` says which layers share: of one stage,
    or of one position. `norm` and `step_scale` are those of networks of steps, and `coefficients` "learnt" or "fixed".
    `arch_option` are those of a library's or a user's own network, `network` what a config.json keeps of who made that.

    A soft name without its number of templates has one template a shared layer. Raises UnknownName, saying what is
    legal and which legal name is near, SettingError for what contradicts the name.
    """
    family, soft = family_of(arch)
    shape: dict[str, Any] = {
        "classes": classes,
        "channels": channels or (family.channels if family else 0),
        "size": size or (family.size if family else 0),
        "group_by": group_by,
        "coefficients": coefficients,
    }
    if isinstance(family, Outside):
        return Blueprint(arch, family, family.read(arch, arch_option or {}, network), templates, **shape)
    if arch_option:
        raise SettingError(
            f"{as_code('arch_option', ','.join(arch_option))} has no place in '{shown(arch)}', whose numbers stand in "
            "its name; leave it out"
        )
    parts = arch.split("-")
    flags: list[str] = []
    while family is not None and parts[1:] and parts[-1] in family.flags and parts[-1] not in flags:
        flags.append(parts.pop())
    numbers = None if family is None else family.numbers_in("-".join(["", *parts[1:]]))
    if family is None or numbers is None:
        legal = f"legal names are {legal_names()}"
        raise UnknownName(f"architecture '{shown(arch)}' is not known; {legal}{_near(shown(arch))}")
    wanted = len(family.numbers)
    known = {entry.name for entry in fields(family.options)}
    given = {"dropout": dropout, "size": shape["size"], "norm": norm, "step_scale": step_scale}
    further = {name: value for name, value in given.items() if name in known}
    chosen = family.options(*numbers[:wanted], **further, **dict.fromkeys(flags, True))
    wrong = _wrong(family, chosen, soft or templates is not None, numbers[wanted:], named=soft)
    if wrong is not None:
        asked = arch if soft or templates is None else f"s{arch}"
        raise UnknownName(f"architecture '{arch}' {wrong}{_near(asked)}")
    if templates is not None:
        if soft and numbers[wanted:] not in ([], [templates]):
            raise SettingError(f"`templates={templates}` contradicts `arch={arch!r}`; leave one of them out")
        kept = min(templates, family.layers(chosen))
        name = "-".join([f"s{family.named(numbers[:wanted])}", str(kept), *reversed(flags)])
        return Blueprint(arch if soft and numbers[wanted:] else name, family, chosen, kept, **shape)
    named = (numbers[wanted:] or [family.layers(chosen)])[0] if soft else None
    return Blueprint(arch, family, chosen, named, **shape)


@runs_code
@checked
def build(
    name: str,
    *,
    classes: int = 10,
    channels: int | None = None,
    size: int | None = None,
    dropout: float = 0.0,
    templates: int | None = None,
    arch_option: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A freshly initialised network: build("wrn-28-10") is plain, build("swrn-28-10-4") is soft, and so is
    build("timm/resnet18", templates=4). `arch_option` are those of the library's constructor, or of the function in
    "nets.py:make", whose file runs here.

    Shapes: the network maps x (n, channels, h, w) to logits (n, classes), one that answers for cells to (n, h, w),
    whatever `classes` and `dropout` are. `channels` is 3 where it is not given, 2 for cells. A gpt maps bytes
    (n, length) int64 to logits (n, length, 256), `length` up to `size`, 128 where that is not given. Under
    torch.device("meta") nothing is allocated. Raises UnknownName for an illegal name, SettingError for illegal options.
    """
    if templates is not None:
        check_number("templates", templates)
    with arch_named(name):
        shape: dict[str, Any] = {"classes": classes, "channels": channels, "size": size}
        return blueprint(name, **shape, dropout=dropout, templates=templates, arch_option=arch_option).build()


def _wrong(family: Family, options: Any, soft: bool, templates: list[int], *, named: bool) -> str | None:
    """What is wrong with options, and numbers of templates, that no network has, as the end of a sentence. `named` says
    that the name is a soft one's."""
    if getattr(options, "depth", 0) > DEEPEST:
        return f"has depth {options.depth}; the most is {DEEPEST}"
    wrong = family.illegal(options, soft)
    if wrong is not None:
        return wrong
    for name in family.numbers:
        number = getattr(options, name)
        if not 1 <= number <= MOST + (name == "depth"):
            return f"has {name} {number}; the {'least is 1' if number < 1 else f'most is {MOST}'}"
    if not named:
        return "is plain and has no templates" if templates else None
    most = family.layers(options)
    if all(1 <= number <= most for number in templates or [most]):
        return None
    of = f"depth {options.depth}" if hasattr(options, "depth") else "the network"
    asked = f"asks for {templates[0] if templates else most} templates"
    return f"{asked}; {of} has {most} layers a group, so 1 to {most} are legal"


def _near(arch: str) -> str:
    """What may be meant by a name that is not legal, as the end of a sentence."""
    from foldnet.zoo.near import near_names

    return said_to_be_meant(near_names(arch))
