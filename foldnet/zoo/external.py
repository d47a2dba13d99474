"""Networks that others wrote: torchvision's and timm's by their names, and those of a user's own file.

Knows neither library until a network is made, or a name looked up.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foldnet.bounds import shown
from foldnet.errors import FoldnetError, MissingTool, SettingError, nearest
from foldnet.zoo.code import code_for, failed_in, function_in, reason_of
from foldnet.zoo.family import INPUTS, LOADS, OUTPUTS, WRITTEN, OutsideOptions

if TYPE_CHECKING:
    from torch import nn

COLOURS = 3  # channels that networks of libraries take where nothing else is said
UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


_allocating: ContextVar[list[bool] | None] = ContextVar("_allocating", default=None)


@contextmanager
def noting_allocation() -> Iterator[list[bool]]:
    """A list that is no longer empty once a network was made in this block whose constructor needs numbers, although
    nothing was to be allocated."""
    noted: list[bool] = []
    before = _allocating.set(noted)
    try:
        yield noted
    finally:
        _allocating.reset(before)


@cache
def _of_torchvision() -> tuple[str, ...]:
    """torchvision's classification networks."""
    models = import_module("torchvision.models")
    return tuple(models.list_models(module=models))


@cache
def _of_timm() -> tuple[str, ...]:
    """timm's networks. Raises MissingTool."""
    return tuple(_timm().list_models())


def _timm() -> Any:
    """timm. Raises MissingTool."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("timm")
    except ImportError:
        raise MissingTool("timm is not installed; `pip install 'foldnet[timm]'` brings it") from None


def models_of(library: str) -> tuple[str, ...]:
    """The list of a library's networks, in which a name must stand. Raises MissingTool."""
    return _of_timm() if library == "timm" else _of_torchvision()


def make_network(options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
    """A network of a library or a user's file, untrained. Raises SettingError in one sentence for what makes none,
    MissingTool."""
    if WRITTEN.fullmatch(options.arch):
        return _from_file(options, channels, outputs)
    return (_from_timm if options.arch.startswith("timm/") else _from_torchvision)(options, channels, outputs)


def _from_torchvision(options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
    """A classification network of torchvision, without weights of anyone's."""
    if channels != COLOURS:
        raise SettingError(
            f"`arch={options.arch!r}` takes {COLOURS} channels and the data have {channels}; take one of timm's, whose "
            "networks take any number"
        )
    builder = import_module("torchvision.models").get_model_builder(options.model)
    known = _parameters(builder)
    # Heads beside the last one would make a training's output a tuple.
    own = {name: value for name, value in (("aux_logits", False), ("init_weights", True)) if name in known}
    return _called(builder, options, own | {"weights": None, OUTPUTS: outputs}, known)


def _from_timm(options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
    """A network of timm, without weights of anyone's."""
    timm = _timm()
    own = {"pretrained": False, OUTPUTS: outputs} | ({INPUTS: channels} if channels != COLOURS else {})
    known = _parameters(timm.models.model_entrypoint(options.model))
    return _called(lambda **given: timm.create_model(options.model, **given), options, own, known)


def _from_file(options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
    """A network of a user's file, whose function is told classes and channels where it takes them."""
    from torch import nn

    code = code_for(options.arch, options.mark)
    function = function_in(code, options.model)
    known = _parameters(function)
    any_name = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values())
    told = ((OUTPUTS, outputs), (INPUTS, channels))
    own = {key: value for key, value in told if any_name or key in inspect.signature(function).parameters}
    _check_names(options, [] if any_name else [key for key, _ in options.given if key not in known], known)
    try:
        network = _on_meta_too(lambda: function(**_given(options), **own))
    except FoldnetError:
        raise
    except Exception as error:
        raise failed_in(code, error) from error
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise SettingError(f"'{options.model}' of '{code.file}' gives a {kind}; let it return an nn.Module")
    return network


def _called(
    make: Callable[..., nn.Module], options: OutsideOptions, own: Mapping[str, Any], known: Sequence[str]
) -> nn.Module:
    """A network of a library's constructor. Raises SettingError in one sentence for options that it does not take."""
    given = _given(options)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _on_meta_too(lambda: make(**own, **given))
    except Exception as error:
        unknown = UNEXPECTED.search(str(error))
        if unknown is not None and unknown[1] in own:
            raise SettingError(
                f"`arch={options.arch!r}` cannot be told by '{unknown[1]}' that the data have {own[unknown[1]]}; "
                "choose another architecture"
            ) from None
        _check_names(options, [] if unknown is None else [unknown[1]], known)
        with_options = "".join(f", `arch_option={name}={shown(value)}`" for name, value in given.items())
        reason = reason_of(error)
        raise SettingError(f"`arch={options.arch!r}`{with_options} makes no network ({reason})") from error


def _given(options: OutsideOptions) -> dict[str, Any]:
    """The options as a constructor takes them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.given}


def _check_names(options: OutsideOptions, unknown: Sequence[str], known: Sequence[str]) -> None:
    """Raise SettingError for the first option that is not known."""
    for name in unknown:
        raise SettingError(f"`arch={options.arch!r}` has no option '{name}'{nearest(name, known)}")


def _parameters(function: Callable[..., Any]) -> list[str]:
    """The options that a constructor names, and those of the class that it says it gives."""
    try:
        made = typing.get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError):
        made = None
    kinds: list[Callable[..., Any]] = [function, *([made] if isinstance(made, type) else [])]
    named = (one for kind in kinds for one in inspect.signature(kind).parameters.values())
    keyword = [one.name for one in named if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return [name for name in keyword if name not in ("self", OUTPUTS, INPUTS) and not LOADS.match(name)]


def _on_meta_too(make: Callable[[], nn.Module]) -> nn.Module:
    """A network; where nothing is to be allocated and its constructor needs numbers, made on the CPU and then left
    without."""
    import torch

    if torch.get_default_device().type != "meta":
        return make()
    try:
        return make()
    except (RuntimeError, NotImplementedError):
        if (allocating := _allocating.get()) is not None:
            allocating.append(True)
        with torch.device("cpu"):
            return make().to("meta")


def structure_of(network: nn.Module) -> str:
    """A digest of the modules' names and classes and of the tensors' names and shapes."""
    modules = [f"{name} {type(module).__name__}" for name, module in network.named_modules()]
    tensors = [f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items()]
    return hashlib.sha256("\n".join([*modules, *tensors]).encode()).hexdigest()
