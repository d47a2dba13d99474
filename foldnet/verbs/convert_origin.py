"""What is converted: the trained network of a run, or of an architecture by name and a file of weights."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.options import given_of
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.store.tensors import digest_of_tensors
from foldnet.training.begin import blueprint_for
from foldnet.training.origin import check_fit
from foldnet.training.runs import Run, default_name, newest_run, open_run
from foldnet.training.session import split_of
from foldnet.training.settings import train_settings

WRAPPED = ("state_dict", "model")  # where others keep the tensors inside a file that holds more
COUNTER = "num_batches_tracked"  # of batch norm, which old files have not, and torch loads without


@dataclass(frozen=True, slots=True)
class Origin:
    """The trained network, every weight written out, and the run that says on what and how it was trained; `facts` say
    where it came from, as the config.json of what is made of it keeps them."""

    trained: nn.Module
    run: Run
    facts: Mapping[str, Any]


def origin_of_run(named: Path | str | None, checkpoint: str) -> Origin:
    """The network of a run, the newest where none is named. Raises RunError."""
    run = open_run(Path(named) if named is not None else newest_run())
    network, _ = run.load(checkpoint)
    trained = materialise(network) if isinstance(network, SharedNetwork) else network
    name = run.folder.resolve().name
    facts = {"run": name, "arch": run.settings.arch, "checkpoint": checkpoint, "sha256": run.digest(checkpoint)}
    return Origin(trained.eval(), run, facts)


def origin_of_file(
    arch: str,
    weights: Path | str,
    arch_option: Mapping[str, Any] | None,
    dataset: str | None,
    data_dir: Path | None,
) -> Origin:
    """The plain network of that name with the weights in a file, for a dataset (default: digits).

    Raises SettingError where the file cannot be read, or does not fit: the first tensor that is missing, superfluous or
    of another shape is named. Raises UnknownName, DataError.
    """
    given = {"arch": arch, "arch_option": arch_option, "dataset": dataset}
    settings = train_settings(given_of(given | {"data_dir": None if data_dir is None else str(data_dir)}))
    weights = Path(weights)
    data, split = split_of(settings)
    built = blueprint_for(settings, data)
    trained, found = built.build(), read_weights(weights)
    counters = {name: tensor for name, tensor in trained.state_dict().items() if name.split(".")[-1] == COUNTER}
    tensors = counters | found
    check_fit(trained.state_dict(), tensors, f"`weights={str(weights)!r}`", arch)
    trained.load_state_dict(tensors)
    trained = materialise(trained) if isinstance(trained, SharedNetwork) else trained
    facts = {"weights": weights.name, "arch": settings.arch, "sha256": digest_of_tensors(found)}
    run = Run(default_name(settings), settings, built, "fp32", split.hash, scaling=data.scaling)
    return Origin(trained.eval(), run, facts)


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors in a file by name: safetensors, or what torch.save wrote, read without running any code of it.

    Raises SettingError for a file that is neither, or holds something else.
    """
    given = f"`weights={str(file)!r}`"
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SettingError(f"{given} cannot be read ({error.strerror or error}); check the path") from None
    except SafetensorError as error:
        raise SettingError(f"{given} is no safetensors file ({error}); give another") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        raise SettingError(
            f"{given} is not a file of tensors alone that torch.load reads with weights_only=True; save the network's "
            "state_dict() as safetensors"
        ) from None
    for name in WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise SettingError(f"{given} holds something else than tensors by name; save the network's state_dict()")
    return dict(found)
