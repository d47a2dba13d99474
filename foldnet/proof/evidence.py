"""What a fold's files hold, counted again, for `foldnet verify`."""

from typing import Any

import torch
from torch import nn

from foldnet.folding.folds import WEIGHTS, Fold
from foldnet.folding.looped import LoopedNetwork, gain_slots
from foldnet.proof import promises as promised
from foldnet.proof.certificate import Numbers
from foldnet.proof.promises import Promise
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.store.tensors import file_bytes, list_tensors
from foldnet.training.runs import Run
from foldnet.zoo.blueprint import Blueprint


def count(fold: Fold, looped: LoopedNetwork, report: Any) -> tuple[Numbers, Numbers, list[Promise]]:
    """Parameters and bytes of the three forms, the folded one's from its file, and the promises about them."""
    file = fold.folder / WEIGHTS
    tensors, _ = list_tensors(file)
    with torch.device("meta"):
        soft = fold.blueprint.build()
        dense = materialise(soft)
    promises, templates = [], {}
    if isinstance(soft, SharedNetwork):
        promises += promised.check_stored(fold.program, soft.plan.groups, soft.network, tensors)
        templates = {f"groups.{group.name}.templates": group.templates for group in soft.plan.groups}
    promises.append(promised.check_size(file.stat().st_size, _unique_bytes(looped)))
    forms: dict[str, nn.Module] = {"soft": soft, "dense": dense, "folded": looped}
    parameters: Numbers = {form: _parameters(model) for form, model in forms.items()}
    parameters["folded"] = _numbers(tensors, looped)
    bytes_: Numbers = {form: file_bytes(model.state_dict()) for form, model in forms.items()}
    bare: Numbers = {form: file_bytes(model.state_dict(), stated=False) for form, model in forms.items()}
    written = promised.stated_at(report, "bytes")
    counts = _group_counts(fold, tensors) | templates | {"measure": fold.task.measure}
    counts |= {
        f"{kind}.{form}": number
        for kind, numbers in (("parameters", parameters), ("bytes", bare if written == bare else bytes_))
        for form, number in numbers.items()
    }
    gains = {layer: gain[step].item() for gain, step, layer in gain_slots(looped)}
    promises += promised.check_report(report, fold.program, counts, gains)
    promises.append(promised.equal("numbers in the file that are not finite", _unfinished(looped), 0))
    return parameters, bytes_ | {"folded": file.stat().st_size}, promises


def check_origin(fold: Fold, run: Run) -> Promise:
    """The fold's network is the one that its run trained."""
    return promised.equal(
        "architecture, classes, channels, size and dropout of the run",
        _said(fold.blueprint),
        _said(run.blueprint),
    )


def _said(network: Blueprint) -> str:
    """A network in one line."""
    return ", ".join(map(str, (network.arch, network.classes, network.channels, network.size, network.dropout)))


def _group_counts(fold: Fold, tensors: promised.Listed) -> dict[str, promised.Value]:
    """What report.json must say of each group, by its path there."""
    counts: dict[str, promised.Value] = {}
    for group in fold.groups:
        stored = sum(name.startswith(f"owners.{group.name}.") and shape == group.shape for name, _, shape in tensors)
        counts |= {f"groups.{group.name}.owners": group.owners, f"groups.{group.name}.stored": stored}
        counts[f"groups.{group.name}.weight_numbers"] = int(torch.Size(group.shape).numel())
    return counts


def _numbers(tensors: promised.Listed, model: nn.Module) -> int:
    """Numbers in those of a file's tensors that are parameters of `model`, its buffers aside."""
    names = {name for name, _ in model.named_parameters()}
    return sum(int(torch.Size(shape).numel()) for name, _, shape in tensors if name in names)


def _parameters(model: nn.Module) -> int:
    """Numbers in all parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _unique_bytes(model: nn.Module) -> int:
    """Bytes of the distinct tensors that a network holds."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def _unfinished(model: nn.Module) -> int:
    """Numbers that are infinite or none at all."""
    return sum(int((~torch.isfinite(tensor)).sum()) for tensor in model.state_dict().values())
