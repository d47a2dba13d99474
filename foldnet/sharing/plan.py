"""Who shares with whom, who does not, and why: decided once, as plain data."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from foldnet.bounds import as_code, checked
from foldnet.errors import SettingError, ShapeMismatch, UnknownName, check_known, nearest
from foldnet.sharing.sequences import (
    PARAMETER,
    holder_of,
    holds_stages,
    is_stage,
    joined,
    key_of,
    own_keys,
    places_of,
    runs_in_order,
    sequences_of,
    siblings_of,
    stands_in,
    weight_name,
)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SHAREABLE = (*CONVOLUTIONS, nn.Linear)  # layers whoever makes their weight
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROOT = "network"  # the stage whose blocks are children of the network itself
NO_PARTNER = (  # why most layers stay private
    "outside the stages",
    "the only layer of its shape in its stage",
    "the only layer at its place in equal blocks",
)
GROUP_BY = ("stage", "position")
_NO_MODULES = nn.ModuleDict()
Place = tuple[str, int, str]  # a sequence, which of its kinds of blocks, and the path of a layer inside of the block
Key = tuple[str, tuple[int, ...], Place]  # a stage, a shape, and where layers must stand to share
ANYWHERE: Place = ("", 0, "")


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
    group_by: str = "stage",
) -> SharingPlan:
    """Group the layers of a network (see `layers_of`) by stage and weight shape; with `group_by` "position" those that
    stand at one place in equal blocks of one sequence.

    A stage is one of `network.sequences` where the network declares them, else the first part of a layer's name, or
    "network" for the blocks of an nn.Sequential that is the network itself. Layers named by `network.private_layers()`
    or by `keep` (layer -> reason) stay private, and so do those without a partner. `templates` is the most of
    any group, or the number of each by group, or None for one template a layer.

    Raises UnknownName for a layer or group that does not exist, SettingError for a number of templates below 1, or of a
    group above its layers, and for lazy layers that have not been called.
    """
    if group_by not in GROUP_BY:
        raise SettingError(f"{as_code('group_by', group_by)} is not legal; choose {' or '.join(GROUP_BY)}")
    layers, parts = layers_of(network), dict(network.named_modules())
    check_known(keep or (), layers, lambda name: f"layer '{name}' to keep is not a layer of the network")
    reasons: dict[str, str] = {**getattr(network, "private_layers", dict)(), **(keep or {})}
    stages, twice = _stages_of(network, layers), used_twice(network)
    places = places_of(network, layers) if group_by == "position" else {}
    members: dict[tuple[str, tuple[int, ...], Place], list[str]] = {}
    private: dict[str, str] = {}
    for name in layers:
        stage = stages[name]
        if name in reasons:
            private[name] = reasons[name]
        elif (reason := obstacle(name, parts[holder_of(name)], twice)) is not None:
            private[name] = reason
        elif stage is None:
            private[name] = NO_PARTNER[0]
        else:
            weight = parts[holder_of(name)]._parameters[key_of(name)]
            assert weight is not None  # which obstacle would have said
            place = places.get(name, (name, 0, "")) if places else ANYWHERE
            members.setdefault((stage, tuple(weight.shape), place), []).append(name)
    lone = {key for key, layers in members.items() if len(layers) < 2}
    if any(key[0] != ROOT for key in members.keys() - lone):  # what stands between stages is no stage
        between = {key for key in members.keys() - lone if key[0] == ROOT}
        private |= {layer: NO_PARTNER[0] for key in between for layer in members.pop(key)}
    private |= {members.pop(key)[0]: NO_PARTNER[2 if places else 1] for key in lone}
    names = _names_of(members)
    groups = tuple(
        Group(names[key], tuple(layers), key[1], _templates_for(names[key], len(layers), templates))
        for key, layers in members.items()
    )
    if isinstance(templates, Mapping):
        check_known(templates, names.values(), lambda name: f"group '{name}' does not exist")
    return SharingPlan(groups, tuple((name, private[name]) for name in layers if name in private))


def _names_of(members: Collection[Key]) -> dict[Key, str]:
    """A name for each group: a stage's only group has its name, others that of their place in blocks or of their shape
    too; what is still called as another is numbered."""
    stages = [stage for stage, _, _ in members]
    names: dict[Key, str] = {}
    for key in members:
        stage, shape, (_, _, path) = key
        further = path or ("x".join(map(str, shape)) if stages.count(stage) > 1 else "")
        name = _legal(f"{stage}-{further}".replace(PARAMETER, "-") if further else stage)
        same = sum(known == name or known.startswith(f"{name}~") for known in names.values())
        names[key] = f"{name}~{same + 1}" if same else name
    return names


def check_plan(network: nn.Module, plan: SharingPlan) -> None:
    """Raise UnknownName or ShapeMismatch where a plan does not fit a network.

    Raises SettingError where it names a group or a layer twice, gives a group an illegal name, or means a layer that
    cannot share.
    """
    layers, parts = layers_of(network), dict(network.named_modules())
    names = [group.name for group in plan.groups]
    seen: set[str] = set()
    twice = used_twice(network)
    for group in plan.groups:
        if names.count(group.name) > 1:
            raise SettingError(f"group '{group.name}' stands in the plan twice; give each group a name of its own")
        if group.name != _legal(group.name) or not group.name:
            raise SettingError(f"a group cannot be called '{group.name}', modules forbid it; choose another name")
        for name in group.layers:
            this = f"layer '{name}' of group '{group.name}'"
            if name not in layers and name not in parts:
                raise UnknownName(f"{this} does not exist{nearest(name, layers)}")
            if name in seen:
                raise SettingError(f"layer '{name}' stands in the plan twice; a layer belongs to one group")
            seen.add(name)
            cannot = "only convolutions, linear layers and other parameters that are matrices or more can"
            reason = obstacle(name, parts[holder_of(name)], twice) if name in layers else cannot
            if reason is not None:
                raise SettingError(f"{this} cannot share; {reason}")
            if (shape := tuple(network.get_parameter(weight_name(name)).shape)) != group.shape:
                raise ShapeMismatch(
                    f"layer '{name}' has a weight of shape {shape}, group '{group.name}' is of shape {group.shape}; "
                    "give it a group of its own"
                )


def _stages_of(network: nn.Module, layers: list[str]) -> dict[str, str | None]:
    """The stage that each layer stands in; None for a layer outside the declared sequences.

    Where blocks follow each other in the network itself, they are its one stage, ROOT; siblings are one too.
    """
    sequences = tuple(getattr(network, "sequences", ()))
    if sequences:
        return {layer: next((stage for stage in sequences if stands_in(layer, stage)), None) for layer in layers}
    own = {layer: None for layer in layers if not holder_of(layer)}  # the network's, around all stages
    layers = [layer for layer in layers if layer not in own]
    inside = [layer.split(".") for layer in layers]
    of_its_own = not runs_in_order(network) or holds_stages("", network, layers)
    stages = {parts[0]: of_its_own or is_stage(network, parts[0], inside) for parts in inside}
    found = {layer: parts[0] if stages[parts[0]] else ROOT for layer, parts in zip(layers, inside, strict=True)}
    outermost = (name for name in sequences_of(network, layers) if "." not in name)
    siblings = {block: name for name in outermost for block in siblings_of(network, name)}
    return own | {layer: siblings.get(stage, stage) for layer, stage in found.items()}


def _legal(name: str) -> str:
    """`name` as a key of nn.ModuleDict: without a dot, and not that of an attribute which every such module has."""
    name = name.replace(".", "-")
    return f"{name}-layers" if hasattr(_NO_MODULES, name) else name


def _templates_for(group: str, layers: int, templates: int | Mapping[str, int] | None) -> int:
    """The number of templates of one group."""
    wanted = templates.get(group) if isinstance(templates, Mapping) else templates
    if wanted is None:
        return layers
    if not isinstance(templates, Mapping) and wanted >= 1:
        return min(wanted, layers)
    if not 1 <= wanted <= layers:
        raise SettingError(f"group '{group}' of {layers} layers cannot have {wanted} templates; give it 1 to {layers}")
    return wanted


def layers_of(module: nn.Module, shared: Collection[str] = ()) -> list[str]:
    """The layers in a module, by their names: convolutions and linear layers, and other parameters that are matrices or
    more, such as attention's in_proj_weight or an embedding. `shared` are those of other parameters that a shared
    network has taken away.

    Vectors in whatever shape, biases and tables of biases are no layers: they stay each step's own.
    """
    held: dict[str, list[str]] = {}
    for layer in shared:
        held.setdefault(holder_of(layer), []).append(layer)
    return [layer for name, part in module.named_modules() for layer in _layers_in(name, part, held.get(name, ()))]


def _layers_in(name: str, part: nn.Module, shared: Collection[str]) -> Iterator[str]:
    """Those of one module, its children aside."""
    if isinstance(part, SHAREABLE):
        yield name
        return
    if isinstance(part, ParametrizationList):  # from these a weight is computed
        return
    for key, parameter in part._parameters.items():
        layer = name if key == "weight" and name else joined(name, f"{PARAMETER}{key}")
        if layer in shared or (parameter is not None and _is_matrix(key, parameter)):
            yield layer


def _is_matrix(key: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is more than a vector; one without a shape yet may be."""
    if is_lazy(parameter):
        return "bias" not in key
    return "bias" not in key and sum(side > 1 for side in parameter.shape) > 1


def obstacle(layer: str, holder: nn.Module, twice: Collection[int]) -> str | None:
    """Why a layer of the module `holder` cannot share, if so. `twice` has the ids of parameters that stand in several
    places. Raises SettingError for a layer whose weight has no shape yet."""
    weight = holder._parameters.get(key_of(layer))
    if weight is None:
        return "its weight is computed from other parameters"
    if is_lazy(weight):
        raise SettingError(f"layer '{layer}' has no weight yet; call the network once, which makes it, and share then")
    if isinstance(holder, nn.RNNBase):
        return "a recurrent layer keeps its weights in one piece of memory"
    if isinstance(holder, nn.Embedding | nn.EmbeddingBag):
        # It writes into its weight, or leaves a row of it as it is, or has a gradient that is not dense.
        given = {name: getattr(holder, name) for name in ("max_norm", "padding_idx", "sparse")}
        held = next((name for name, value in given.items() if value is not None and value is not False), None)
        if held is not None:
            return f"an embedding with {held} treats its weight as its own"
    if id(weight) in twice:
        return "its weight is used in several places"
    if weight.dtype not in REAL:
        return f"its weight is of {str(weight.dtype).removeprefix('torch.')}, not of real floating-point numbers"
    if not weight.numel():
        return "its weight is empty"
    taken = next((key for key in own_keys(layer) if hasattr(holder, key)), None)
    return f"it has a '{taken}' already, which layers of a loop are given" if taken is not None else None


def used_twice(network: nn.Module) -> set[int]:
    """Ids of the parameters that stand in several places."""
    places = Counter(id(parameter) for _, parameter in network.named_parameters(remove_duplicate=False))
    return {key for key, count in places.items() if count > 1}
