"""What a run keeps of its training: the checkpoint, one file with the model, the optimiser and where it stands, and the
histories that the checkpoint vouches for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import RunError, in_order
from foldnet.store.artifact import CHECKPOINT
from foldnet.store.codec import digest_of_json, from_plain, of_a_folder, parse_json, read_json, read_text, to_plain
from foldnet.store.files import refuse_link, said_plainly, write_whole
from foldnet.store.seals import changed
from foldnet.store.tensors import digest_of_tensors, facts_of, load_tensors, save_tensors
from foldnet.training.observer import Progress

FILE = CHECKPOINT
PROGRESS = "progress.json"  # how far the last checkpoint has come, so that its loss is noticed


def save_checkpoint(
    folder: Path,
    model: nn.Module | Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer | None,
    progress: Progress,
    seal: Mapping[str, str] | None = None,
) -> None:
    """Write the checkpoint of a model, or of its weights alone, into `folder`, which is made; the one before stays
    until the new one is whole. Raises OutputError where the place cannot be written.

    The seal says whose the checkpoint is and what the files beside it are.

    Random states and the order of the data need no place in it: they follow from the run's seed and from the epoch and
    step that `progress` names.
    """
    weights = model.state_dict() if isinstance(model, nn.Module) else model
    tensors = {f"model/{name}": tensor for name, tensor in weights.items()}
    if optimiser is not None and isinstance(model, nn.Module):
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        for parameter, state in optimiser.state.items():
            kept = {f"optimiser/{names[parameter]}/{key}": value for key, value in state.items()}
            tensors |= {name: value for name, value in kept.items() if isinstance(value, Tensor)}
    refuse_link(folder)
    with said_plainly(folder):
        folder.mkdir(exist_ok=True)
    save_tensors(folder / FILE, tensors, to_plain(progress) | ({"seal": dict(seal)} if seal else {}))


def load_model(folder: Path, model: nn.Module) -> Progress:
    """Fill `model` from a checkpoint, taking its tensors over (a model on the meta device will do).

    Raises RunError where the file is missing, damaged, or of another network.
    """
    file, path = load_tensors(folder / FILE, "model"), folder / FILE
    fill(model, file.tensors, path)
    # Every score was an accuracy once, and had no other name.
    stated = {"best_score" if name == "best_accuracy" else name: value for name, value in file.metadata.items()}
    try:
        return from_plain(Progress, {name: value for name, value in stated.items() if name != "seal"})
    except ValueError:
        raise RunError(f"'{path}' does not say where its training stands; it was not written by foldnet") from None


def load_optimiser(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Give the optimiser the state (momenta and the like) that the checkpoint holds. Raises RunError as load_model
    does."""
    if not any(group.get("momentum", 1) for group in optimiser.param_groups):
        return  # without momentum there is nothing to keep, and the checkpoint has no such part
    path, parameters = folder / FILE, dict(model.named_parameters())
    for entry, tensor in load_tensors(path, "optimiser").tensors.items():
        name, _, key = entry.partition("/")
        owner = parameters.get(name)
        if owner is None or (tensor.dim() and owner.shape != tensor.shape):
            raise RunError(f"'{path}' holds a momentum for '{name}' that the network has not; it is another run's")
        state = torch.empty_like(owner) if tensor.dim() else torch.empty((), device=owner.device)
        # Before there was more than one optimiser, the name alone meant SGD's momentum.
        optimiser.state[owner][key or "momentum_buffer"] = state.copy_(tensor)


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Assign tensors to a model by name. Raises RunError where names, shapes or types differ."""
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()}
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    if expected != found:
        wrong = in_order(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise RunError(
            f"'{path}' does not fit the network (the first of {len(wrong)} tensors that differ is '{wrong[0]}'); "
            f"it is another run's"
        )
    model.load_state_dict(tensors, assign=True)


def append_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl, a line an epoch. Losses that are not finite never come here, so the lines are plain JSON."""
    lines = (json.dumps(line, allow_nan=False) for line in history)
    write_whole(folder / "metrics.jsonl", "".join(f"{line}\n" for line in lines))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; none where there is no file. Raises RunError where a line is not JSON, or was
    changed."""
    file = folder / "metrics.jsonl"
    epochs, seal = _counted(folder)
    try:
        with of_a_folder(file):
            lines = [parse_json(line) for line in read_text(file).splitlines()] if os.path.lexists(file) else []
    except ValueError as error:
        raise RunError(f"'{file}' is not one JSON object a line ({error}); restore it or remove it") from None
    if not all(isinstance(line, dict) for line in lines):
        raise RunError(f"'{file}' is not one JSON object a line; restore it or remove it")
    if [line.get("epoch") for line in lines] != list(range(1, len(lines) + 1)):
        raise RunError(f"'{file}' has not one line an epoch, in order; restore it")
    if seal:
        check_count(file, len(lines), epochs)
    if seal and digest_of_json(lines[:epochs]) != seal.get(file.name):
        raise changed(file, "run")
    return lines


def check_count(file: Path, found: int, epochs: int) -> None:
    """Raise RunError for a history that lacks what the last checkpoint counts."""
    if found < epochs:
        raise RunError(f"'{file}' holds {found} of the {epochs} entries that the checkpoint counts; restore it")


def save_coefficients(folder: Path, history: dict[str, Tensor]) -> None:
    """Write coefficients.safetensors: one tensor a group, (epochs + 1, L, K), the first row before training."""
    save_tensors(folder / "coefficients.safetensors", history)


def load_coefficients(folder: Path) -> dict[str, Tensor]:
    """One tensor a group, (epochs + 1, L, K), which only soft runs have. Raises RunError where they are missing or
    changed."""
    file = folder / "coefficients.safetensors"
    epochs, seal = _counted(folder)
    history = load_tensors(file).tensors
    if seal and all(rows.dim() and len(rows) > epochs for rows in history.values()):  # else whoever uses it complains
        counted = {name: rows[: epochs + 1] for name, rows in history.items()}
        if digest_of_tensors(counted) != seal.get(file.name):
            raise changed(file, "run")
    return history


def _counted(folder: Path) -> tuple[int, dict[str, str]]:
    """The epochs that the last checkpoint counts and what it says of the files beside it; (0, {}) where there is
    nothing to compare.

    To be asked before a history is read: what a training adds meanwhile is then more than is counted, never less.
    """
    try:
        facts = facts_of(folder / "last" / FILE)
    except RunError:
        return 0, {}  # whoever loads it is told why
    epochs, seal = facts.get("epoch"), facts.get("seal")
    return (epochs, seal) if type(epochs) is int and isinstance(seal, dict) else (0, {})


def check_nothing_lost(folder: Path) -> None:
    """Raise RunError where a run once had a checkpoint and has none now: training on would begin anew."""
    file = folder / "last" / FILE
    if file.exists() or not (folder / PROGRESS).exists():
        return
    reached = read_json(folder / PROGRESS)
    epoch = reached.get("epoch") if isinstance(reached, dict) else None
    raise RunError(
        f"'{file}' is lost, with which the training had come to epoch {epoch}; restore it, use `checkpoint='best'`, "
        f"or train again with `force=True`"
    )
