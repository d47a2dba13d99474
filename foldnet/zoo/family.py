"""What a family of networks is: what is chosen of one, how that is written in a name, how a network is made, and of
those that others wrote, in a library or in a user's own file, who made it. Knows no torch until a network is made.

A name must stand in the library's own list, and no option may load or download anything, whoever gives it: a study file
is a stranger's too.
"""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from foldnet.bounds import as_code, shown
from foldnet.errors import FoldnetWarning, RunError, SettingError, UnknownName, nearest

if TYPE_CHECKING:
    from torch import nn

Function = TypeVar("Function", bound=Callable[..., Any])
DIGITS = 4  # of a number in a name
WRITTEN = re.compile(r"(?P<file>.*\.py):(?P<function>[^\W\d]\w*)", re.DOTALL)  # nets.py:make
LOADS = re.compile("weights|cache|hf_|hub|url|file|load|.*(pretrained|checkpoint|state_dict)", re.IGNORECASE)
OUTPUTS, INPUTS = "num_classes", "in_chans"  # what constructors call them


@dataclass(frozen=True, slots=True)
class Family:
    """Networks of one kind. `options` is a frozen dataclass of what is chosen: its whole numbers without a default
    stand in the name in order, those that are true or false at its end; what else it has is no part of the name, such
    as a `dropout` rate or the `size` of inputs.

    `make` (options, channels, outputs) gives the plain network. `layers` says how many layers of a group share, which
    is the most templates; `illegal` (options, soft) what is wrong with some options, as the end of a sentence. `task`
    is what its networks answer for, `of` the same in words, `also` what else data may ask of the same outputs. Inputs
    are images with so many `channels`, of that `size` where nothing else is said, strings of that `size` where they
    have one of `dims`, or with `symbols` sequences of `size` whole numbers below that. `trains_with` names training
    settings that have a meaning for this family, `preset` changes their defaults where a source does not. `times` names
    the number that follows the one before by an x. Where no layers share, `soft_as` is the family to take instead.
    """

    name: str
    options: type[Any]
    make: Callable[[Any, int, int], nn.Module]
    layers: Callable[[Any], int]
    illegal: Callable[[Any, bool], str | None] = lambda options, soft: None
    task: str = "classes"
    also: tuple[str, ...] = ()
    of: str = "classes of images"
    channels: int = 3
    size: int = 32
    symbols: int = 0
    dims: int = 2
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


@dataclass(frozen=True, slots=True)
class OutsideOptions:
    """A model of a library, or a function of a file, with the options that it is given, by name; of a run also its
    `mark`, the library's version or the file's SHA-256, and a digest of the `structure` of the network that it made."""

    arch: str
    given: tuple[tuple[str, Any], ...] = ()
    mark: str | None = None
    structure: str | None = None

    @property
    def model(self) -> str:
        """The library's name of it, or the function's."""
        return re.split("[/:]", self.arch)[-1]


def check_options(given: Mapping[str, Any]) -> None:
    """Raise SettingError for an option that loads or downloads, that the data decide, or that is no JSON scalar or list
    of these."""
    for name, value in given.items():
        said = as_code("arch_option", f"{name}={shown(value)}")
        if not isinstance(name, str) or not name.isidentifier():
            raise SettingError(f"{said} has a name that no option can have; write key=value")
        if LOADS.match(name):
            raise SettingError(
                f"{said} loads or downloads something, which no option of an architecture may; leave it out"
            )
        if name in (OUTPUTS, INPUTS):
            raise SettingError(f"{said} is what the data say; leave it out")
        parts = value if isinstance(value, list | tuple) else [value]
        if not all(part is None or isinstance(part, bool | int | float | str) for part in parts):
            raise SettingError(f"{said} is neither a number, a text, true, false nor null, nor a list of these")


@dataclass(frozen=True, slots=True)
class Outside(Family):
    """Networks of a library."""

    @property
    def outside(self) -> bool:
        """Whether its networks are written by others."""
        return True

    def begins(self, arch: str) -> bool | None:
        """No name of theirs is soft; templates are a setting."""
        return False if arch.startswith(f"{self.name}/") else None

    @property
    def form(self) -> str:
        """What a name looks like."""
        return f"{self.name}/MODEL"

    def read(self, arch: str, given: Mapping[str, Any], network: Mapping[str, Any] | None) -> OutsideOptions:
        """What a name and options say, and for an opened folder what its config.json says of the `network`: who made
        it. Raises UnknownName and SettingError; for a folder KeyError and ValueError."""
        check_options(given)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        options = OutsideOptions(arch, tuple(sorted(values.items())))
        if network is None:
            self.check_listed(arch)
            return options
        return self.made_by(options, network)

    def check_listed(self, arch: str) -> None:
        """Raise UnknownName for a model that is not in the library's list, MissingTool for a library that is not
        there."""
        from foldnet.zoo.external import models_of

        model, known = arch.removeprefix(f"{self.name}/"), models_of(self.name)
        if model not in known:
            raise UnknownName(f"architecture '{shown(arch)}' is not in {self.name}'s list{nearest(model, known)}")

    def record(self, options: OutsideOptions, structure: Callable[[], str]) -> dict[str, Any]:
        """What a config.json keeps of who made the network."""
        version, made = options.mark or metadata.version(self.name), options.structure or structure()
        return {"library": {"version": version, "structure": made}}

    def made_by(self, options: OutsideOptions, network: Mapping[str, Any]) -> OutsideOptions:
        """Options with what a config.json says of who made the network. Raises KeyError and ValueError."""
        made = network["library"]
        return replace(options, mark=_text(made, "version"), structure=_text(made, "structure"))

    def make_checked(self, options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
        """The network; of a run that another version made, warned of. Raises RunError where it has become another."""
        self.check_listed(options.arch)
        network = self.make(options, channels, outputs)
        if options.mark is not None and options.mark != (here := metadata.version(self.name)):
            from foldnet.zoo.external import structure_of

            made = f"the network was made with {self.name} {options.mark}, and {self.name} {here} is installed"
            if structure_of(network) != options.structure:
                raise RunError(f"{made}, which makes another network of '{options.arch}'; install {options.mark}")
            warnings.warn(f"{made}; its layers have the same names and shapes", FoldnetWarning, stacklevel=2)
        return network


@dataclass(frozen=True, slots=True)
class UserFile(Outside):
    """Networks that a function of a user's file makes."""

    def begins(self, arch: str) -> bool | None:
        """Whether a name is a file's and a function's."""
        return False if WRITTEN.fullmatch(arch) else None

    @property
    def form(self) -> str:
        """What a name looks like."""
        return "FILE.py:FUNCTION"

    def check_listed(self, arch: str) -> None:
        """A file has no list: what is not in it shows when it runs."""

    def record(self, options: OutsideOptions, structure: Callable[[], str]) -> dict[str, Any]:
        """The digest of the file, which says all of the network."""
        from foldnet.zoo.code import code_for

        return {"code": {"sha256": options.mark or code_for(options.arch).sha256}}

    def made_by(self, options: OutsideOptions, network: Mapping[str, Any]) -> OutsideOptions:
        """Options with the digest of the file that made the network. Raises KeyError and ValueError."""
        return replace(options, mark=_text(network["code"], "sha256"))

    def make_checked(self, options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
        """The network; what the file says, once its digest is the one that was kept."""
        return self.make(options, channels, outputs)


def _text(content: Any, name: str) -> str:
    """A text of a config.json. Raises KeyError and ValueError."""
    if not isinstance(content, dict) or not isinstance(content[name], str):
        raise ValueError(f"'{name}' is no text")
    return str(content[name])


def short_name(arch: str) -> str:
    """An architecture as runs keep it: of a user's file its name, and not where it lies."""
    found = WRITTEN.fullmatch(arch)
    return arch if found is None else f"{Path(found['file']).name}:{found['function']}"


def arch_named(arch: object, code: Path | str | None = None) -> AbstractContextManager[None]:
    """Let the user's file run in a block that an architecture such as "nets.py:make" names, or `code`. Raises
    SettingError where these are two files."""
    if code is None and not (isinstance(arch, str) and WRITTEN.fullmatch(arch)):
        return nullcontext()
    from foldnet.zoo.code import code_of_arch

    return code_of_arch(arch, code)


def runs_code(function: Function) -> Function:
    """`function` with a keyword more: `code` is the user's file that may run while it does, as the one does that its
    keyword `arch` names."""

    @functools.wraps(function)
    def running(*given: Any, code: Path | str | None = None, **keywords: Any) -> Any:
        if not isinstance(code, Path | str | None):
            raise SettingError(f"{function.__name__}() wants code as Path or str or None, and {shown(code)} is none")
        with arch_named(keywords.get("arch"), code):
            return function(*given, **keywords)

    signature = inspect.signature(function)
    own = inspect.Parameter("code", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Path | str | None")
    *others, last = (*signature.parameters.values(), own)
    if others and others[-1].kind is inspect.Parameter.VAR_KEYWORD:
        others, last = [*others[:-1], last], others[-1]
    running.__signature__ = signature.replace(parameters=[*others, last])  # type: ignore[attr-defined]
    return running  # type: ignore[return-value]
