"""What a fold promises of its file and its program, each checked by counting again."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from foldnet.program.data import Program, count_reuses, expand
from foldnet.program.text import program_text
from foldnet.sharing.plan import SHAREABLE, Group

Listed = Sequence[tuple[str, str, tuple[int, ...]]]  # name, type and shape of every tensor of a file
Value = float | int | str | None

SIZE_RATIO, SIZE_SLACK = 1.02, 64 * 1024  # bytes that a file may have: so often its tensors', and so many more


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that must hold: what was found, and the limit or the value that was to be found."""

    name: str
    held: bool
    value: Value
    limit: Value


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
    promises = []
    for stage in program.stages:
        labels = " ".join(block.label for block in stage.blocks)
        promises.append(equal(f"program of {stage.name}", " ".join(expand(stage.items)), labels))
    covered = [
        *program.before,
        *(use.layer for use in program.uses),
        *program.after,
    ]
    there = [name for name, module in network.named_modules() if isinstance(module, SHAREABLE)]
    lacking = [name for name in there if name not in covered] + [name for name in covered if name not in there]
    promises.append(equal("layers that program and architecture do not both have", ", ".join(lacking), ""))
    for group in dict.fromkeys([*owners, *(use.group for use in program.uses if use.group is not None)]):
        used = sorted({use.owner for use in program.uses if use.group == group and use.owner is not None})
        wanted = " ".join(map(str, range(owners.get(group, 0))))
        promises.append(equal(f"owners of {group}", " ".join(map(str, used)), wanted))
    return promises


def check_stored(program: Program, groups: Sequence[Group], network: nn.Module, tensors: Listed) -> list[Promise]:
    """Each group keeps min(owners, templates) weights, and no further weight of its shape hides anywhere in the file.

    `network` is the architecture with its shared layers without weights; stacked tensors count as often as they stack.
    """
    promises = []
    expected: dict[tuple[int, ...], int] = {}
    for group in groups:
        owners = {use.owner for use in program.uses if use.group == group.name}
        least = min(len(owners), group.templates)
        shapes = [shape for name, _, shape in tensors if name.startswith(f"owners.{group.name}.")]
        stored = sum(shape == group.shape for shape in shapes)
        promises.append(equal(f"weights stored for {group.name}", stored, least))
        expected[group.shape] = expected.get(group.shape, 0) + least
    for shape, stored in expected.items():
        if len(shape) < 3:
            continue  # a stack of norms may have the shape of a linear layer
        # The private layers of that shape are in the file too, each once.
        own = sum(
            tuple(weight.shape) == shape
            for module in network.modules()
            if isinstance(module, SHAREABLE) and (weight := module._parameters.get("weight")) is not None
        )
        there = sum(_weights_in(found, shape) for _, _, found in tensors)
        promises.append(equal(f"weights of shape {'x'.join(map(str, shape))} in the file", there, stored + own))
    return promises


def check_size(file: int, unique: int) -> Promise:
    """A file of `file` bytes holds `unique` bytes of tensors once, and hardly anything else."""
    return at_most("bytes of the folded file", file, math.floor(SIZE_RATIO * unique) + SIZE_SLACK)


def check_report(
    report: Any, program: Program, counts: Mapping[str, Value], gains: Mapping[str, float]
) -> list[Promise]:
    """report.json says of program, file and gains what they say themselves.

    `counts` maps the path of a number in the report, such as "parameters.folded", to the number counted again; `gains`
    maps a layer to its gain. After fine-tuning the report's gains are those before it, so that none are compared.
    """
    stated = report if isinstance(report, dict) else {}
    found = {
        "program": program_text(program),
        "loops": program.loops,
        "reuses": count_reuses(program),
        **counts,
    }
    wrong = [
        f"{path} is {stated_at(stated, path)!r}, not {value!r}"
        for path, value in found.items()
        if stated_at(stated, path) != value
    ]
    promises = [
        equal("report.json against the other files", "; ".join(wrong) or "agrees", "agrees"),
        check_clusters(stated, program),
    ]
    if is_finetuned(stated):
        return promises
    written = {layer["name"]: layer["gain"] for layer in layers_of(stated)}
    apart = [abs(written.get(layer, math.nan) - gain) / (abs(gain) or 1.0) for layer, gain in gains.items()]
    worst = largest(apart)
    return [*promises, at_most("gains against report.json, relative difference", worst, 1e-6)]


def check_settings(report: Any, settings: Mapping[str, Any], checkpoint: str) -> Promise:
    """report.json names the settings and the checkpoint that config.json names."""
    stated = {
        "tie": "tie",
        "unit": "unit",
        "linkage": "linkage",
        "checkpoint": "checkpoint",
        "keep": "kept",
        "ignore": "ignored",
        "finetune": "finetune.epochs",
        "finetune_lr": "finetune.lr",
        "distill": "finetune.distill",
        # Where no metric is named it is the network's usual one, and report.json says which that is.
        **({"metric": "metric"} if settings.get("metric") is not None else {}),
    }
    wrong = [path for name, path in stated.items() if stated_at(report, path) != settings.get(name)]
    wrong += ["checkpoint"] if settings.get("checkpoint") != checkpoint and "checkpoint" not in wrong else []
    return equal("settings in report.json that are not config.json's", ", ".join(wrong), "")


def check_clusters(report: Any, program: Program) -> Promise:
    """report.json ties the layers that use one owner in the program, and numbers the owners as the program does."""
    wrong = []
    for name, owners in owners_of(program).items():
        group = stated_at(report, f"groups.{name}")
        tied = [[layer for layer in owners if owners[layer] == owner] for owner in dict.fromkeys(owners.values())]
        try:
            stated = sorted(sorted(cluster) for cluster in group["clusters"])
            numbers = {layer["name"]: layer["owner"] for layer in group["layers"]}
        except (KeyError, TypeError):
            stated, numbers = [], {}
        if stated != sorted(sorted(cluster) for cluster in tied) or numbers != owners:
            wrong.append(name)
    return equal("groups whose clusters in report.json are not the program's", ", ".join(wrong), "")


def owners_of(program: Program) -> dict[str, dict[str, int]]:
    """By group, the owner of each of its layers, in the order of the unrolled network."""
    found: dict[str, dict[str, int]] = {}
    for use in program.uses:
        if use.group is not None and use.owner is not None:
            found.setdefault(use.group, {})[use.layer] = use.owner
    return found


def check_distances(report: Any, distances: Mapping[str, float]) -> list[Promise]:
    """Each tied weight is as far from its soft one as report.json says: `distances` maps a layer to ||W - g C|| /
    ||W||.

    Fine-tuning moves the weights away, so that nothing is promised then.
    """
    if is_finetuned(report):
        return []
    written = {layer["name"]: layer["error"] for layer in layers_of(report)}
    # A naive mean may be thousands of times as far off as a short weight is long; what is compared is then that ratio.
    apart = [abs(written.get(layer, math.nan) - found) / max(found, 1.0) for layer, found in distances.items()]
    worst = largest(apart)
    return [at_most("distance of tied to soft weights against report.json, difference", worst, 1e-5)]


def layers_of(report: Any) -> list[dict[str, Any]]:
    """Every layer of every group of a fold's report that has a name, a gain and an error; what is anything else is not
    given."""
    groups = entries(report.get("groups") if isinstance(report, dict) else None)
    found = [layer for group in groups for layer in entries(group.get("layers"))]
    kinds = {"name": str, "gain": int | float, "error": int | float}
    return [layer for layer in found if all(isinstance(layer.get(key), kind) for key, kind in kinds.items())]


def entries(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def is_finetuned(report: Any) -> bool:
    """Whether a fold was trained after it was tied."""
    epochs = stated_at(report, "finetune.epochs")
    return isinstance(epochs, int) and epochs > 0


def _weights_in(found: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """How many weights of `shape` a tensor of shape `found` holds, stacked ones counted singly."""
    stacked = max(len(found) - len(shape), 0)
    return math.prod(found[:stacked]) if found[stacked:] == shape else 0


def stated_at(report: Any, path: str) -> Any:
    """The value at a path such as "groups.stage1.owners"; groups are found by name. None where there is none."""
    value: Any = report
    for key in path.split("."):
        if isinstance(value, list):
            value = next((entry for entry in value if isinstance(entry, dict) and entry.get("name") == key), None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
