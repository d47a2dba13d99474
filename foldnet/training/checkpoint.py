"""A checkpoint: one file with the model, the optimiser and where the training stands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import OutputError, RunError, in_order
from foldnet.store.artifact import CHECKPOINT
from foldnet.store.codec import from_plain, to_plain
from foldnet.store.files import refuse_link
from foldnet.store.tensors import load_tensors, save_tensors
from foldnet.training.journal import Progress

FILE = CHECKPOINT


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer | None,
    progress: Progress,
    seal: Mapping[str, str] | None = None,
) -> None:
    """Write the checkpoint into `folder`, which is made; the one before stays until the new one is whole.

    The seal says whose the checkpoint is and what the files beside it are.

    Random states and the order of the data need no place in it: they follow from the run's seed and from the epoch and
    step that `progress` names.
    """
    save_weights(folder, model.state_dict(), progress, seal, {} if optimiser is None else _state(model, optimiser))


def save_weights(
    folder: Path,
    weights: Mapping[str, Tensor],
    progress: Progress,
    seal: Mapping[str, str] | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """The same from the tensors themselves. Raises OutputError where the place cannot be written."""
    tensors = {f"model/{name}": tensor for name, tensor in weights.items()}
    tensors |= {f"optimiser/{name}": tensor for name, tensor in (state or {}).items()}
    refuse_link(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be made ({error.strerror}); free the place or choose another") from error
    save_tensors(folder / FILE, tensors, to_plain(progress) | ({} if seal is None else {"seal": dict(seal)}))


def load_model(folder: Path, model: nn.Module) -> Progress:
    """Fill `model` from a checkpoint, taking its tensors over (a model on the meta device will do).

    Raises RunError where the file is missing, damaged, or of another network.
    """
    file = load_tensors(folder / FILE, "model")
    fill(model, file.tensors, folder / FILE)
    return _progress(file.metadata, folder / FILE)


def load_optimiser(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Give the optimiser the state (momenta and the like) that the checkpoint holds. Raises RunError as load_model
    does."""
    if not any(group.get("momentum", 1) for group in optimiser.param_groups):
        return  # without momentum there is nothing to keep, and the checkpoint has no such part
    file = load_tensors(folder / FILE, "optimiser")
    parameters = dict(model.named_parameters())
    for entry, tensor in file.tensors.items():
        name, _, key = entry.partition("/")
        owner = parameters.get(name)
        if owner is None or (tensor.dim() and owner.shape != tensor.shape):
            raise RunError(
                f"'{folder / FILE}' holds a momentum for '{name}' that the network has not; it is another run's"
            )
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


def _state(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by "parameter/key"."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": value
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def _progress(metadata: dict[str, Any], path: Path) -> Progress:
    """Read the plain data of a checkpoint."""
    # Every score was an accuracy once, and had no other name.
    stated = {"best_score" if name == "best_accuracy" else name: value for name, value in metadata.items()}
    try:
        return from_plain(Progress, {name: value for name, value in stated.items() if name != "seal"})
    except ValueError:
        raise RunError(f"'{path}' does not say where its training stands; it was not written by foldnet") from None
