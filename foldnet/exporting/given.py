"""What is exported: the network of a run or a fold, or one in memory, what it is called with, and what the file says of
it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.folding.calling import inputs_of
from foldnet.folding.folds import Fold, read_fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.opening import kind_of
from foldnet.program.data import Program
from foldnet.program.text import program_text
from foldnet.store.artifact import FOLD
from foldnet.store.codec import to_plain
from foldnet.store.seals import sha256_of
from foldnet.training.checkpoint import FILE
from foldnet.training.runs import Run, open_run
from foldnet.zoo.scaling import Scaling

EXAMPLES = 2  # inputs that a network is traced with; one would be taken for a size that never changes
SEED = 0
HAS_FOLDS = "the run was exported with every weight written out; name one of its folds for its loops"
SCHEMA = 1  # of what a file says of itself
PACKAGES = ("foldnet", "torch", "onnx", "onnxscript", "safetensors")


@dataclass(frozen=True, slots=True)
class Given:
    """A network in evaluation mode, looped or whatever else, and positional inputs of two examples.

    `files` are the SHA-256 of the files that it was read from, `source` the name of their folder. `length` is the most
    of a sequence, whose own may be less; None where all inputs have one size. `scaling` is how pixels become inputs,
    where that is known.
    """

    network: nn.Module
    inputs: tuple[Tensor, ...]
    arch: str = ""
    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    length: int | None = None
    scaling: Scaling | None = None

    @property
    def program(self) -> Program | None:
        """Its program, where it loops."""
        return self.network.program if isinstance(self.network, LoopedNetwork) else None

    @property
    def form(self) -> str:
        """ "looped", or "dense": with every weight written out."""
        return "looped" if self.program is not None else "dense"

    def about(self, **more: Any) -> dict[str, str]:
        """What a file says of itself: plain texts, those of parts as JSON."""
        facts = {
            "schema": SCHEMA,
            "form": self.form,
            "arch": self.arch,
            "source": self.source,
            "files": dict(self.files),
            "scaling": to_plain(self.scaling),
            "versions": {name: metadata.version(name) for name in PACKAGES if _installed(name)},
            **more,
        }
        found = {"foldnet": json.dumps(facts)}
        if self.program is not None:
            found["foldnet.program"] = json.dumps(to_plain(self.program))
            found["foldnet.program.text"] = program_text(self.program)
        return found


def given(what: Path | str | nn.Module, inputs: Any = None, *, runs: bool = True) -> Given:
    """What there is to export of a run's or a fold's folder, or of a network in memory, which needs `inputs` of one
    call where it `runs`: a tensor, or a tuple of them. Raises SettingError, RunError."""
    if isinstance(what, nn.Module):
        return _in_memory(what, inputs) if runs else Given(plain_layout(_copied(what)), ())
    if inputs is not None:
        raise SettingError("`inputs` are for a network in memory: a run or fold knows its own; leave them out")
    folder = Path(what)
    if kind_of(folder) == "fold":
        fold, looped = read_fold(folder, Fold.load)
        return _built(looped, fold, folder, dict(fold.files))
    run = open_run(folder)
    network, _ = run.load("last")
    files = {f"last/{FILE}": sha256_of(folder / "last" / FILE)}
    return _built(network, run, folder, files, (HAS_FOLDS,) if FOLD.all_in(folder) else ())


def _built(
    network: nn.Module, kept: Run | Fold, folder: Path, files: dict[str, str], notes: tuple[str, ...] = ()
) -> Given:
    """The network of a folder, which was built of a blueprint."""
    built = kept.blueprint
    inputs, length = (built.random_inputs(EXAMPLES, SEED),), built.size if built.family.symbols else None
    return Given(plain_layout(network), inputs, built.arch, folder.name, files, notes, length, kept.scaling)


def _in_memory(network: nn.Module, inputs: Any) -> Given:
    """A network in memory. Raises SettingError where there is nothing to call it with."""
    if inputs is None:
        raise SettingError("a network in memory is exported by running it once; give `inputs`, a batch of two or more")
    positional, keywords = inputs_of(inputs if isinstance(inputs, tuple) and len(inputs) == 1 else (inputs,))
    if keywords or not all(isinstance(one, Tensor) for one in positional):
        raise SettingError("`inputs` holds more than tensors by their position; give a tensor, or a tuple of them")
    if any(one.dim() and len(one) < EXAMPLES for one in positional):
        raise SettingError("`inputs` is a batch of one, which is taken for a fixed size; give two or more")
    # On the CPU, and its own: exporting must not change what the user has.
    return Given(plain_layout(_copied(network)), tuple(one.detach().cpu() for one in positional))


def _copied(network: nn.Module) -> nn.Module:
    """The same on the CPU."""
    import copy

    return copy.deepcopy(network).cpu().eval()


def plain_layout(network: nn.Module) -> nn.Module:
    """A network whose tensors lie in the usual order, in place."""
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.data = tensor.data.contiguous()
    return network.eval()


def _installed(name: str) -> bool:
    """Whether there is a package of that name."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
