"""What a fold promises of its file and its program, each checked by counting again."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from foldnet.program.data import Program, count_reuses, expand, gain_names
from foldnet.program.text import program_text
from foldnet.proof.fold_report import FoldReport
from foldnet.sharing.plan import SHAREABLE, Group, layers_of
from foldnet.sharing.sequences import PARAMETER, joined, own_keys, stands_in
from foldnet.store.codec import to_plain

Listed = Sequence[tuple[str, str, tuple[int, ...]]]  # name, type and shape of every tensor of a file
Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that must hold: what was found, and the limit or the value that was to be found."""

    name: str
    held: bool
    value: Value
    limit: Value

    @property
    def wanted(self) -> str:
        """What it asks for, in words."""
        is_ceiling = isinstance(self.limit, float) or self.name.startswith("bytes of the folded")
        return f"at most {self.limit}" if is_ceiling else repr(self.limit)


@dataclass(frozen=True, slots=True)
class Findings:
    """Promises that were checked, what could not be, and what nobody can measure again, so that its lack keeps no fold
    from passing."""

    promises: tuple[Promise, ...] = ()
    notes: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.promises + other.promises, self.notes + other.notes, self.unmeasured + other.unmeasured)


def at_most(name: str, value: float, limit: float) -> Promise:
    """`value` is at most `limit`; what is not a number never is."""
    return Promise(name, value <= limit, value if math.isfinite(value) else str(value), limit)


def largest(values: Iterable[float]) -> float:
    """The largest, where what is not a number counts as more than any number; 0 of nothing."""
    return max(values, key=lambda value: (math.isnan(value), value), default=0.0)


def equal(name: str, value: Value, wanted: Value) -> Promise:
    """`value` is what was wanted."""
    return Promise(name, value == wanted, value, wanted)


def check_program(program: Program, network: nn.Module, owners: Mapping[str, int]) -> list[Promise]:
    """The program runs its blocks in their order, they are all of the architecture's `network`, and they use every
    owner.

    `owners` says how many each group has. Only where all of this holds can the network be run.
    """
    promises = [
        equal(f"program of {one.name}", " ".join(expand(one.items)), " ".join(block.label for block in one.blocks))
        for one in program.stages
    ]
    covered = [*program.before, *(use.layer for use in program.uses), *program.after]
    shared, paths = (
        [use.layer for use in program.uses if use.group is not None],
        [path for one in program.stages for path in one.paths],
    )
    there = [
        layer
        for layer in layers_of(network, shared)
        if PARAMETER not in layer or any(stands_in(layer, path) for path in paths)
    ]
    lacking = [name for name in there if name not in covered] + [name for name in covered if name not in there]
    promises.append(equal("layers that program and architecture do not both have", ", ".join(lacking), ""))
    for group in dict.fromkeys([*owners, *(use.group for use in program.uses if use.group is not None)]):
        used = sorted({use.owner for use in program.uses if use.group == group and use.owner is not None})
        wanted = " ".join(map(str, range(owners.get(group, 0))))
        promises.append(equal(f"owners of {group}", " ".join(map(str, used)), wanted))
    return promises


def check_stored(program: Program, groups: Sequence[Group], network: nn.Module, tensors: Listed) -> list[Promise]:
    """Each group keeps min(owners, templates) weights, and no further weight of its shape hides anywhere in the file.

    `network` is the architecture with its shared layers without weights; stacked tensors count as often as they stack,
    but those of residuals, of which there are as many as the ranks say.
    """
    promises = []
    layers = (module._parameters.get("weight") for module in network.modules() if isinstance(module, SHAREABLE))
    # The private layers are in the file too, each once.
    expected = Counter(tuple(weight.shape) for weight in layers if weight is not None)
    for group in groups:
        owners = {use.owner for use in program.uses if use.group == group.name}
        least = min(len(owners), group.templates)
        shapes = [shape for name, _, shape in tensors if name.startswith(f"owners.{group.name}.")]
        promises.append(equal(f"weights stored for {group.name}", shapes.count(group.shape), least))
        expected[group.shape] += least
    residuals = {
        f"network.{joined(gain.rpartition('.')[0], key)}"
        for gain, _, layer in gain_names(program)
        for key in own_keys(layer)[1:]
    }
    # A stack of norms may have the shape of a linear layer.
    for shape in dict.fromkeys(group.shape for group in groups if len(group.shape) > 2):
        there = sum(_weights_in(found, shape) for name, _, found in tensors if name not in residuals)
        promises.append(equal(f"weights of shape {'x'.join(map(str, shape))} in the file", there, expected[shape]))
    return promises


def check_report(
    report: FoldReport, program: Program, counts: Mapping[str, Any], gains: Mapping[str, float]
) -> list[Promise]:
    """report.json says of program, file and gains what they say themselves.

    `counts` maps the path of a number in the report, such as "parameters.folded", to the number counted again; `gains`
    maps a layer to its gain. After fine-tuning the report's gains are those before it, so that none are compared.
    """
    found = {"program": program_text(program), "loops": program.loops, "reuses": count_reuses(program), **counts}
    both = ((path, stated_at(report, path), value) for path, value in found.items())
    wrong = [f"{path} is {stated!r}, not {value!r}" for path, stated, value in both if stated != value]
    promises = [
        equal("report.json against the other files", "; ".join(wrong) or "agrees", "agrees"),
        check_clusters(report, program),
    ]
    if not report.is_tuned:
        apart = (distance(report, "gain", layer, gain, abs(gain) or 1.0) for layer, gain in gains.items())
        promises.append(at_most("gains against report.json, relative difference", largest(apart), 1e-6))
    return promises


def check_settings(report: FoldReport, settings: Mapping[str, Any], checkpoint: str) -> Promise:
    """report.json names the settings and the checkpoint that config.json names."""
    settings = {"residual": 0} | dict(settings)  # older folds had none
    paths = {name: name for name in ("tie", "unit", "linkage", "checkpoint", "residual")} | {
        "keep": "kept",
        "ignore": "ignored",
    }
    paths |= {"finetune": "finetune.epochs", "finetune_lr": "finetune.lr", "distill": "finetune.distill"}
    if settings.get("metric") is not None:  # otherwise it is the network's usual one, and report.json says which
        paths["metric"] = "metric"
    wrong = [path for name, path in paths.items() if to_plain(stated_at(report, path)) != settings.get(name)]
    wrong += ["checkpoint"] if settings.get("checkpoint") != checkpoint and "checkpoint" not in wrong else []
    return equal("settings in report.json that are not config.json's", ", ".join(wrong), "")


def check_clusters(report: FoldReport, program: Program) -> Promise:
    """report.json ties the layers that use one owner in the program, and numbers the owners as the program does."""
    stated = {group.name: group for group in report.groups}
    wrong = []
    for name, owners in owners_of(program).items():
        tied = [{layer for layer in owners if owners[layer] == owner} for owner in set(owners.values())]
        group = stated.get(name)
        numbers = {layer.name: layer.owner for layer in group.layers} if group else None
        if group is None or numbers != owners or sorted(map(sorted, group.clusters)) != sorted(map(sorted, tied)):
            wrong.append(name)
    return equal("groups whose clusters in report.json are not the program's", ", ".join(wrong), "")


def owners_of(program: Program) -> dict[str, dict[str, int]]:
    """By group, the owner of each of its layers, in the order of the unrolled network."""
    found: dict[str, dict[str, int]] = {}
    for use in program.uses:
        if use.group is not None and use.owner is not None:
            found.setdefault(use.group, {})[use.layer] = use.owner
    return found


def check_distances(report: FoldReport, distances: Mapping[str, float]) -> Promise:
    """Each tied weight is as far from its soft one as report.json says: `distances` maps a layer to ||W - V|| /
    ||W||."""
    # A naive mean may be thousands of times as far off as a short weight is long; what is compared is then that ratio.
    apart = (distance(report, "error", layer, found, max(found, 1.0)) for layer, found in distances.items())
    return at_most("distance of tied to soft weights against report.json, difference", largest(apart), 1e-5)


def distance(report: FoldReport, what: str, layer: str, found: float, unit: float) -> float:
    """How far a layer's gain or error in report.json is from the one that was found, in units; NaN where it has
    none."""
    stated: float = getattr(report.layers.get(layer), what, math.nan)
    return abs(stated - found) / unit


def _weights_in(found: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """How many weights of `shape` a tensor of shape `found` holds, stacked ones counted singly."""
    stacked = max(len(found) - len(shape), 0)
    return math.prod(found[:stacked]) if found[stacked:] == shape else 0


def stated_at(report: FoldReport, path: str) -> Any:
    """What a report says at a path such as "groups.stage1.owners"; groups are found by name. None where there is
    none."""
    value: Any = report
    for key in path.split("."):
        if isinstance(value, tuple):
            value = next((entry for entry in value if entry.name == key), None)
        else:
            value = getattr(value, key, None)
    return value
