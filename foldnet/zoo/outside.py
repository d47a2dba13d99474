"""Families of networks that others wrote, in a library or in a user's own file: how their names and options are read,
and what a run keeps of who made its network.

A name must stand in the library's own list, and no option may load or download anything, whoever gives it: a study file
is a stranger's too.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from foldnet.bounds import as_code, shown
from foldnet.errors import FoldnetWarning, RunError, SettingError, UnknownName, nearest
from foldnet.zoo.code import WRITTEN, code_for
from foldnet.zoo.family import Family

if TYPE_CHECKING:
    from torch import nn

LOADS = re.compile("(pretrained|weights|checkpoint|cache|hf_|hub|url|file|state_dict|load)", re.IGNORECASE)
OUTPUTS, INPUTS = "num_classes", "in_chans"  # what constructors call them


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
    """Networks of a library, whose list `known` gives."""

    known: Callable[[], tuple[str, ...]] = tuple

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
        model, known = arch.removeprefix(f"{self.name}/"), self.known()
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


def structure_of(network: nn.Module) -> str:
    """A digest of the modules' names and classes and of the tensors' names and shapes."""
    modules = [f"{name} {type(module).__name__}" for name, module in network.named_modules()]
    tensors = [f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items()]
    return hashlib.sha256("\n".join([*modules, *tensors]).encode()).hexdigest()
