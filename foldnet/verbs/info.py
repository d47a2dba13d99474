"""foldnet info: what a network is made of, before or after training."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.config import TrainSettings
from foldnet.errors import RunError
from foldnet.folding.folds import Fold, is_as_stated, open_fold
from foldnet.folding.opening import kind_of
from foldnet.program.data import Program
from foldnet.program.text import program_text
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.show.report import Report, Table
from foldnet.store.tensors import list_tensors
from foldnet.training.runs import Run, open_run
from foldnet.typed import checked
from foldnet.verbs.listing import FoldLine, RunLine, line_of_fold, line_of_run
from foldnet.zoo.build import build


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group: its layers, what is stored for them (templates or owners) and N, the numbers in one weight."""

    name: str
    layers: tuple[str, ...]
    templates: int | None
    owners: int | None
    shape: tuple[int, ...]
    weight_numbers: int


@dataclass(frozen=True, slots=True)
class NetworkInfo(Report):
    """What `foldnet info` says of a network. `virtual_parameters` counts as if every layer had a weight of its own.

    `trained` tells how a run came to be and of its folds, `folded` how well a fold does; of an architecture both are None.
    """

    name: str
    kind: str
    parameters: int
    trainable: int
    virtual_parameters: int
    groups: tuple[GroupInfo, ...]
    private: tuple[tuple[str, str], ...]
    program: str | None
    settings: dict[str, Any] | None
    trained: RunLine | None = None
    folded: FoldLine | None = None

    def tables(self) -> tuple[Table, ...]:
        """The network in a row, how a run was trained, and its groups."""
        network = (self.name, self.kind, self.parameters, self.trainable, self.virtual_parameters)
        groups = tuple(
            (group.name, len(group.layers), group.templates, group.owners, "x".join(map(str, group.shape)))
            for group in self.groups
        )
        columns = ("arch", "data", "seed", "epochs", "test accuracy", "folds")
        line = self.trained
        trained = (
            ()
            if line is None
            else ((line.arch, line.dataset, line.seed, line.epochs, line.test_accuracy, len(line.folds)),)
        )
        return (
            Table("", ("network", "kind", "parameters", "trainable", "as if each layer had its own"), (network,)),
            *([Table("", columns, trained)] if trained else []),
            *([Table("", ("group", "layers", "templates", "owners", "weight"), groups)] if groups else []),
        )

    def texts(self) -> tuple[str, ...]:
        """The program of a fold."""
        return () if self.program is None else (self.program,)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileInfo(Report):
    """What `foldnet info` says of a safetensors file. `sound` is None where neither the file nor the fold around it states a digest."""

    name: str
    kind: str
    bytes: int
    parameters: int
    tensors: tuple[TensorInfo, ...]
    sound: bool | None

    def tables(self) -> tuple[Table, ...]:
        """The file in a row, and its tensors."""
        file = (self.name, self.kind, self.bytes, self.parameters, self.sound)
        tensors = tuple((tensor.name, tensor.dtype, "x".join(map(str, tensor.shape))) for tensor in self.tensors)
        return (
            Table("", ("file", "kind", "bytes", "parameters", "sound"), (file,)),
            Table("", ("tensor", "dtype", "shape"), tensors),
        )


@checked
def info(name: Path | str) -> NetworkInfo | FileInfo:
    """An architecture by name, a run or fold folder, or a safetensors file. Raises UnknownName, RunError."""
    path = Path(name)
    if path.is_dir():
        return _of_fold(open_fold(path)) if kind_of(path) == "fold" else _of_run(open_run(path))
    if path.exists():
        return _of_file(path)
    if path.suffix == ".safetensors" or len(path.parts) > 1:
        raise RunError(f"'{name}' does not exist; give an architecture, a run or fold folder, or a safetensors file")
    with torch.device("meta"):
        model = build(str(name))
    return _of_network(str(name), "architecture", model, None)


def _of_run(run: Run) -> NetworkInfo:
    """A run, from its settings; no weight is read."""
    with torch.device("meta"):
        model = run.network()
    return replace(_of_network(str(run.folder), "run", model, run.settings), trained=line_of_run(run.folder))


def _of_network(name: str, kind: str, model: nn.Module, settings: TrainSettings | None) -> NetworkInfo:
    """A soft or plain network on the meta device."""
    groups: tuple[GroupInfo, ...] = ()
    private: tuple[tuple[str, str], ...] = ()
    if isinstance(model, SharedNetwork):
        private = model.plan.private
        groups = tuple(
            GroupInfo(g.name, g.layers, g.templates, None, g.shape, int(torch.Size(g.shape).numel()))
            for g in model.plan.groups
        )
    return NetworkInfo(
        name, kind, *_counts(model), _numbers(materialise(model)), groups, private, None, _plain(settings)
    )


def _of_fold(fold: Fold) -> NetworkInfo:
    """A fold, from its program; no weight is read."""
    with torch.device("meta"):
        looped = fold.load_structure()
        dense = materialise(build(fold.arch, classes=fold.classes, channels=fold.channels))
    groups = tuple(
        GroupInfo(
            g.name,
            _layers_of(fold.program, g.name),
            g.templates,
            g.owners,
            g.shape,
            int(torch.Size(g.shape).numel()),
        )
        for g in fold.groups
    )
    text = program_text(fold.program)
    line = line_of_fold(fold.folder)
    return NetworkInfo(str(fold.folder), "fold", *_counts(looped), _numbers(dense), groups, (), text, None, folded=line)


def _of_file(path: Path) -> FileInfo:
    """Any safetensors file."""
    name = str(path)
    path = path.resolve() if path.is_symlink() else path  # one that the user names is followed
    tensors, sound = list_tensors(path)
    if sound is None:
        sound = is_as_stated(path)  # a fold's config.json states the digest of its weights
    listed = tuple(TensorInfo(name, dtype, shape) for name, dtype, shape in tensors)
    numbers = sum(int(torch.Size(entry.shape).numel()) for entry in listed)
    return FileInfo(name, "file", path.stat().st_size, numbers, listed, sound)


def _counts(model: nn.Module) -> tuple[int, int]:
    """(all parameters, trainable parameters), each once."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def _numbers(model: nn.Module) -> int:
    """Numbers in all parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _layers_of(program: Program, group: str) -> tuple[str, ...]:
    """The layers of the unrolled network that use owners of one group."""
    uses = (use for stage in program.stages for block in stage.blocks for use in block.uses)
    return tuple(use.layer for use in uses if use.group == group)


def _plain(settings: TrainSettings | None) -> dict[str, Any] | None:
    """Settings as plain data."""
    return None if settings is None else asdict(settings)
