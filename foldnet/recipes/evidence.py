"""What a fold's files hold, counted again, for `foldnet verify`."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from foldnet.folding import promises as promised
from foldnet.folding.compare import Comparison
from foldnet.folding.looped import LoopedNetwork, gain_slots
from foldnet.folding.promises import Promise
from foldnet.folds import WEIGHTS, Fold
from foldnet.recipes.certificate import Numbers
from foldnet.runs import Run
from foldnet.sharing.share import SharedNetwork
from foldnet.tensors import file_bytes, list_tensors
from foldnet.training.checkpoint import FILE
from foldnet.zoo.build import build


@dataclass
class Evidence:
    """What is gathered on the way to a certificate. `run` and `soft` are None where they are gone or not the fold's."""

    fold: Fold
    run: Run | None = None
    soft: SharedNetwork | None = None
    checkpoint_sha256: str | None = None
    notes: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)


def count(evidence: Evidence, looped: LoopedNetwork, dense: nn.Module, report: Any) -> tuple[Numbers, Numbers]:
    """Parameters and bytes of the three forms, counted from their files, and the promises about them."""
    fold, soft = evidence.fold, evidence.soft
    file = fold.folder / WEIGHTS
    tensors, _ = list_tensors(file)
    with torch.device("meta"):
        unallocated = build(fold.arch, classes=fold.classes, channels=fold.channels)
    if isinstance(unallocated, SharedNetwork):
        groups, network = unallocated.plan.groups, unallocated.network
        evidence.promises += promised.check_stored(fold.program, groups, network, tensors)
    evidence.promises.append(promised.check_size(file.stat().st_size, _unique_bytes(looped)))
    parameters: Numbers = {
        "soft": None,
        "dense": sum(parameter.numel() for parameter in dense.parameters()),
        "folded": _numbers(tensors, looped),
    }
    bytes_: Numbers = {"soft": None, "dense": file_bytes(dense.state_dict()), "folded": None}
    if soft is not None and evidence.run is not None:
        listed, _ = list_tensors(evidence.run.folder / fold.checkpoint / FILE)
        model = [
            (name.removeprefix("model/"), kind, shape) for name, kind, shape in listed if name.startswith("model/")
        ]
        parameters["soft"], bytes_["soft"] = _numbers(model, soft), file_bytes(soft.state_dict())
    bytes_["folded"] = file_bytes(looped.state_dict())
    counts = _group_counts(fold, tensors) | {
        f"{kind}.{form}": number
        for kind, numbers in (("parameters", parameters), ("bytes", bytes_))
        for form, number in numbers.items()
        if number is not None
    }
    gains = {layer: gain[step].item() for gain, step, layer in gain_slots(looped)}
    evidence.promises += promised.check_report(report, fold.program, counts, gains)
    return parameters, bytes_ | {"folded": file.stat().st_size}


def _group_counts(fold: Fold, tensors: promised.Listed) -> dict[str, promised.Value]:
    """What report.json must say of each group, by its path there."""
    counts: dict[str, promised.Value] = {}
    for group in fold.groups:
        stored = sum(name.startswith(f"owners.{group.name}.") and shape == group.shape for name, _, shape in tensors)
        counts |= {f"groups.{group.name}.owners": group.owners, f"groups.{group.name}.stored": stored}
        counts[f"groups.{group.name}.weight_numbers"] = int(torch.Size(group.shape).numel())
    return counts


def compare_weights(evidence: Evidence, tied: nn.Module, report: Any) -> None:
    """Promise that each tied weight is as far from its soft one as the report says."""
    if evidence.soft is None:
        return
    distances = {}
    for name, soft in evidence.soft.shared_weights():
        wanted, found = soft.detach().double(), tied.get_parameter(name).detach().double()
        missing, length = float((found - wanted).norm()), float(wanted.norm())
        distances[name.removesuffix(".weight")] = missing / length if length else float(missing > 0)
    evidence.promises += promised.check_distances(report, distances)


def _numbers(tensors: promised.Listed, model: nn.Module) -> int:
    """Numbers in those of a file's tensors that are parameters of `model`, its buffers aside."""
    names = {name for name, _ in model.named_parameters()}
    return sum(int(torch.Size(shape).numel()) for name, _, shape in tensors if name in names)


def _unique_bytes(model: nn.Module) -> int:
    """Bytes of the distinct tensors that a network holds."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
