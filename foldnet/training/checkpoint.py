"""A checkpoint: one file with the model, the optimiser and where the training stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import OutputError, RunError
from foldnet.tensors import load_tensors, save_tensors

FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands: whole epochs done, the best validation accuracy so far and its epoch, seconds of training."""

    epoch: int
    best_accuracy: float | None
    best_epoch: int | None
    seconds: float


def save_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, progress: Progress
) -> None:
    """Write the checkpoint into `folder`, which is made; the one before stays until the new one is whole."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    if optimiser is not None:
        tensors |= {f"optimiser/{name}": tensor for name, tensor in _momenta(model, optimiser).items()}
    about = {
        "epoch": progress.epoch,
        "best_accuracy": progress.best_accuracy,
        "best_epoch": progress.best_epoch,
        "seconds": progress.seconds,
    }
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be made ({error.strerror}); free the place or choose another") from error
    save_tensors(folder / FILE, tensors, about)


def load_model(folder: Path, model: nn.Module) -> Progress:
    """Fill `model` from a checkpoint, taking its tensors over (a model on the meta device will do).

    Raises RunError where the file is missing, damaged, or of another network.
    """
    file = load_tensors(folder / FILE, "model")
    fill(model, file.tensors, folder / FILE)
    return _progress(file.metadata, folder / FILE)


def load_optimiser(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Give the optimiser the momenta that the checkpoint holds. Raises RunError as load_model does."""
    if not any(group["momentum"] for group in optimiser.param_groups):
        return  # without momentum there is nothing to keep, and the checkpoint has no such part
    file = load_tensors(folder / FILE, "optimiser")
    parameters = dict(model.named_parameters())
    for name, momentum in file.tensors.items():
        owner = parameters.get(name)
        if owner is None or owner.shape != momentum.shape:
            raise RunError(
                f"'{folder / FILE}' holds a momentum for '{name}' that the network has not; it is another run's"
            )
        state = torch.empty_like(owner)
        optimiser.state[owner]["momentum_buffer"] = state.copy_(momentum)


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Assign tensors to a model by name. Raises RunError where names or shapes differ."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != found:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise RunError(
            f"'{path}' does not fit the network (the first of {len(wrong)} tensors that differ is '{wrong[0]}'); "
            f"it is another run's"
        )
    model.load_state_dict(tensors, assign=True)


def _momenta(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Momentum buffers by the name of their parameter."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: state["momentum_buffer"]
        for parameter, state in optimiser.state.items()
        if state.get("momentum_buffer") is not None
    }


def _progress(metadata: dict[str, Any], path: Path) -> Progress:
    """Read the plain data of a checkpoint."""
    try:
        return Progress(
            int(metadata["epoch"]),
            metadata["best_accuracy"],
            metadata["best_epoch"],
            float(metadata["seconds"]),
        )
    except (KeyError, TypeError, ValueError):
        raise RunError(f"'{path}' does not say where its training stands; it was not written by foldnet") from None
