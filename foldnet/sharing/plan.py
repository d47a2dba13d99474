"""Who shares with whom, who does not, and why: decided once, as plain data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from foldnet.errors import SettingError, ShapeMismatch, UnknownName, nearest
from foldnet.sharing.in_order import holds_stages, is_stage, runs_in_order, stands_in
from foldnet.typed import checked

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
    network: nn.Module,
    templates: int | Mapping[str, int] | None = None,
    *,
    keep: Mapping[str, str] | None = None,
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
    declare = getattr(network, "private_layers", dict)
    reasons: dict[str, str] = dict(declare())
    for name, reason in (keep or {}).items():
        if name not in modules:
            raise UnknownName(f"layer '{name}' to keep is not a layer of the network{nearest(name, modules)}")
        reasons[name] = reason
    stages, twice = _stages_of(network, list(modules)), _used_twice(network)
    members: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    private: list[tuple[str, str]] = []
    for name, module in modules.items():
        stage, weight = stages[name], module._parameters.get("weight")
        if name in reasons:
            private.append((name, reasons[name]))
        elif (obstacle := _obstacle(name, module, twice)) is not None:
            private.append((name, obstacle))
        elif stage is None or weight is None:
            private.append((name, NO_PARTNER[0]))
        else:
            members.setdefault((stage, tuple(weight.shape)), []).append(name)
    lone = {key for key, layers in members.items() if len(layers) < 2}
    if any(stage != ROOT for stage, _ in members.keys() - lone):  # what stands between stages is no stage
        outside = {key for key in members.keys() - lone if key[0] == ROOT}
        private += [(layer, NO_PARTNER[0]) for key in outside for layer in members.pop(key)]
    private += [(members[key][0], NO_PARTNER[1]) for key in lone]
    together = {key: layers for key, layers in members.items() if key not in lone}
    names = _group_names(list(together))
    groups = tuple(
        Group(names[key], tuple(layers), key[1], _templates_for(names[key], len(layers), templates))
        for key, layers in together.items()
    )
    if isinstance(templates, Mapping):
        for name in templates:
            if name not in names.values():
                raise UnknownName(f"group '{name}' does not exist{nearest(name, names.values())}")
    order = {name: index for index, name in enumerate(modules)}
    return SharingPlan(groups, tuple(sorted(private, key=lambda entry: order[entry[0]])))


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
            if name not in modules:
                raise UnknownName(f"layer '{name}' of group '{group.name}' does not exist{nearest(name, modules)}")
            if name in seen:
                raise SettingError(f"layer '{name}' stands in the plan twice; a layer belongs to one group")
            seen.add(name)
            weight = modules[name]._parameters.get("weight")
            if not isinstance(modules[name], SHAREABLE) or weight is None:
                raise SettingError(
                    f"layer '{name}' of group '{group.name}' cannot share; only convolutions and linear layers "
                    f"with a weight of their own can"
                )
            if (reason := _obstacle(name, modules[name], twice)) is not None:
                raise SettingError(f"layer '{name}' of group '{group.name}' cannot share; {reason}")
            have = tuple(weight.shape)
            if have != group.shape:
                raise ShapeMismatch(
                    f"layer '{name}' has a weight of shape {have}, group '{group.name}' is of shape {group.shape}; "
                    f"give it a group of its own"
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
    places = Counter(
        id(parameter)
        for _, module in network.named_modules(remove_duplicate=False)
        for parameter in module._parameters.values()
        if parameter is not None
    )
    return {key for key, count in places.items() if count > 1}


def _group_names(keys: list[tuple[str, tuple[int, ...]]]) -> dict[tuple[str, tuple[int, ...]], str]:
    """A stage's name for its only group, else the stage's name and the weight's shape; never a name that modules
    forbid."""
    stages = [stage for stage, _ in keys]
    return {
        (stage, shape): _legal(stage if stages.count(stage) == 1 else f"{stage}-{'x'.join(map(str, shape))}")
        for stage, shape in keys
    }


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
