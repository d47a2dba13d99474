"""Who shares with whom, who does not, and why: decided once, as plain data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from foldnet.bounds import checked
from foldnet.errors import SettingError, ShapeMismatch, UnknownName, check_known, nearest
from foldnet.sharing.sequences import holds_stages, is_stage, outside, runs_in_order, sequences_of, stands_in

SHAREABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROOT = "network"  # the stage whose blocks are children of the network itself
NO_PARTNER = ("outside the stages", "the only layer of its shape in its stage")  # why most layers stay private
_NO_MODULES = nn.ModuleDict()


@dataclass(frozen=True, slots=True)
class Group:
    """Layers of one weight shape (O, I, *kernel) that share a bank of `templates` templates."""

    name: str
    layers: tuple[str, ...]
    shape: tuple[int, ...]
    templates: int


@dataclass(frozen=True, slots=True)
class SharingPlan:
    """Groups of layers that share, and every other weighted layer with the reason why it does not."""

    groups: tuple[Group, ...]
    private: tuple[tuple[str, str], ...]  # (layer, reason)


@checked
def plan_sharing(
    network: nn.Module, templates: int | Mapping[str, int] | None = None, *, keep: Mapping[str, str] | None = None
) -> SharingPlan:
    """Group the convolutions and linear layers of a network by stage and weight shape.

    A stage is one of `network.sequences` where the network declares them, else the first part of a layer's name, or
    "network" for the blocks of an nn.Sequential that is the network itself. Layers named by `network.private_layers()`
    or by `keep` (layer -> reason) stay private, and so do those without a partner. `templates` is a number for every
    group, a number by group, or None for one template a layer.

    Raises UnknownName for a layer or group that does not exist, SettingError for a number of templates outside
    1..layers and for lazy layers that have not been called.
    """
    modules = {name: module for name, module in network.named_modules() if isinstance(module, SHAREABLE)}
    check_known(keep or (), modules, lambda name: f"layer '{name}' to keep is not a layer of the network")
    reasons: dict[str, str] = {**getattr(network, "private_layers", dict)(), **(keep or {})}
    stages, twice = _stages_of(network, list(modules)), _used_twice(network)
    members: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    private: dict[str, str] = {}
    for name, module in modules.items():
        stage, weight = stages[name], module._parameters.get("weight")
        if name in reasons:
            private[name] = reasons[name]
        elif (obstacle := _obstacle(name, module, twice)) is not None:
            private[name] = obstacle
        elif stage is None or weight is None:
            private[name] = NO_PARTNER[0]
        else:
            members.setdefault((stage, tuple(weight.shape)), []).append(name)
    lone = {key for key, layers in members.items() if len(layers) < 2}
    if any(stage != ROOT for stage, _ in members.keys() - lone):  # what stands between stages is no stage
        between = {key for key in members.keys() - lone if key[0] == ROOT}
        private |= {layer: NO_PARTNER[0] for key in between for layer in members.pop(key)}
    private |= {members.pop(key)[0]: NO_PARTNER[1] for key in lone}
    found = [stage for stage, _ in members]  # a stage's only group has its name, others that of their shape too
    names = {
        (stage, shape): _legal(stage if found.count(stage) == 1 else f"{stage}-{'x'.join(map(str, shape))}")
        for stage, shape in members
    }
    groups = tuple(
        Group(names[key], tuple(layers), key[1], _templates_for(names[key], len(layers), templates))
        for key, layers in members.items()
    )
    if isinstance(templates, Mapping):
        check_known(templates, names.values(), lambda name: f"group '{name}' does not exist")
    return SharingPlan(groups, tuple((name, private[name]) for name in modules if name in private))


def check_plan(network: nn.Module, plan: SharingPlan) -> None:
    """Raise UnknownName or ShapeMismatch where a plan does not fit a network.

    Raises SettingError where it names a group or a layer twice, gives a group an illegal name, or means a layer that
    cannot share.
    """
    modules = dict(network.named_modules())
    names = [group.name for group in plan.groups]
    seen: set[str] = set()
    twice = _used_twice(network)
    for group in plan.groups:
        if names.count(group.name) > 1:
            raise SettingError(f"group '{group.name}' stands in the plan twice; give each group a name of its own")
        if group.name != _legal(group.name) or not group.name:
            raise SettingError(f"a group cannot be called '{group.name}', modules forbid it; choose another name")
        for name in group.layers:
            this = f"layer '{name}' of group '{group.name}'"
            if name not in modules:
                raise UnknownName(f"{this} does not exist{nearest(name, modules)}")
            if name in seen:
                raise SettingError(f"layer '{name}' stands in the plan twice; a layer belongs to one group")
            seen.add(name)
            layer, shareable = modules[name], "only convolutions and linear layers can"
            reason = _obstacle(name, layer, twice) if isinstance(layer, SHAREABLE) else shareable
            if reason is not None:
                raise SettingError(f"{this} cannot share; {reason}")
            if (shape := tuple(network.get_parameter(f"{name}.weight").shape)) != group.shape:
                raise ShapeMismatch(
                    f"layer '{name}' has a weight of shape {shape}, group '{group.name}' is of shape {group.shape}; "
                    "give it a group of its own"
                )


def _obstacle(name: str, layer: nn.Module, twice: set[int]) -> str | None:
    """Why a layer cannot share, if so. Raises SettingError for one whose weight has no shape yet."""
    weight = layer._parameters.get("weight")
    if weight is None:
        return "its weight is computed from other parameters"
    if is_lazy(weight):
        raise SettingError(f"layer '{name}' has no weight yet; call the network once, which makes it, and share then")
    if id(weight) in twice:
        return "its weight is used in several places"
    if weight.dtype not in REAL:
        return f"its weight is of {str(weight.dtype).removeprefix('torch.')}, not of real floating-point numbers"
    if not weight.numel():
        return "its weight is empty"
    return "it has a 'gain' already, which layers of a loop are given" if hasattr(layer, "gain") else None


def positions(network: nn.Module, plan: SharingPlan) -> dict[str, tuple[tuple[int, ...], ...]]:
    """By group, the rows of its layers that stand at one place of successive blocks, such as all conv1: one tuple a
    place.

    Raises NothingToFold for a shared layer outside the sequences.
    """
    layers = [layer for group in plan.groups for layer in group.layers]
    return _positions(plan, tuple(getattr(network, "sequences", ())) or sequences_of(network, layers))


@lru_cache(maxsize=64)  # asked in every training step
def _positions(plan: SharingPlan, sequences: tuple[str, ...]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """The same for known sequences."""
    found = {}
    for group in plan.groups:
        places: dict[tuple[str, str], list[int]] = {}
        for row, layer in enumerate(group.layers):
            sequence = next((name for name in sequences if stands_in(layer, name)), None)
            if sequence is None:
                raise outside(layer)
            _, _, place = layer.removeprefix(f"{sequence}." if sequence else "").partition(".")
            places.setdefault((sequence, place), []).append(row)
        found[group.name] = tuple(tuple(rows) for rows in places.values())
    return found


def _stages_of(network: nn.Module, layers: list[str]) -> dict[str, str | None]:
    """The stage that each layer stands in; None for a layer outside the declared sequences.

    Where blocks follow each other in the network itself, they are its one stage, ROOT.
    """
    sequences = tuple(getattr(network, "sequences", ()))
    if sequences:
        return {layer: next((stage for stage in sequences if stands_in(layer, stage)), None) for layer in layers}
    inside = [layer.split(".") for layer in layers]
    of_its_own = not runs_in_order(network) or holds_stages("", network, layers)
    stages = {parts[0]: of_its_own or is_stage(network, parts[0], inside) for parts in inside}
    return {layer: parts[0] if stages[parts[0]] else ROOT for layer, parts in zip(layers, inside, strict=True)}


def _used_twice(network: nn.Module) -> set[int]:
    """Ids of the parameters that stand in several places."""
    places = Counter(id(parameter) for _, parameter in network.named_parameters(remove_duplicate=False))
    return {key for key, count in places.items() if count > 1}


def _legal(name: str) -> str:
    """`name` as a key of nn.ModuleDict: without a dot, and not that of an attribute which every such module has."""
    name = name.replace(".", "-")
    return f"{name}-layers" if hasattr(_NO_MODULES, name) else name


def _templates_for(group: str, layers: int, templates: int | Mapping[str, int] | None) -> int:
    """The number of templates of one group."""
    wanted = templates.get(group) if isinstance(templates, Mapping) else templates
    if wanted is None:
        return layers
    if not 1 <= wanted <= layers:
        raise SettingError(f"group '{group}' of {layers} layers cannot have {wanted} templates; give it 1 to {layers}")
    return wanted
