"""foldnet info: what a network is made of, before or after training."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from foldnet.bounds import checked
from foldnet.errors import RunError
from foldnet.folding.folds import Fold, is_as_stated, open_fold
from foldnet.folding.opening import kind_of
from foldnet.program.text import program_text
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.show.report import Report, Table, Text, counted, times
from foldnet.store.artifact import RUN, no_folder
from foldnet.store.hub import hub_name
from foldnet.store.tensors import list_tensors
from foldnet.training.runs import Run, open_run
from foldnet.training.settings import flat
from foldnet.verbs.listing import FoldLine, RunLine, line_of_fold, line_of_run
from foldnet.zoo.blueprint import blueprint
from foldnet.zoo.families import family_of
from foldnet.zoo.family import arch_named, runs_code


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group: its layers, what is stored for them (templates or owners), N, the numbers in one weight, and the largest
    rank of the residuals that layers of a fold keep."""

    computed: ClassVar = ("weight_numbers",)
    name: str
    layers: tuple[str, ...]
    templates: int | None
    owners: int | None
    shape: tuple[int, ...]
    residual: int = 0

    @property
    def weight_numbers(self) -> int:
        """N."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class NetworkInfo(Report):
    """What `foldnet info` says of a network. `virtual_parameters` counts as if every layer had a weight of its own.

    `assumed` is what an architecture by name is counted for, of which a run or fold has its own.
    `trained` tells how a run came to be and of its folds, `folded` how well a fold does; of an architecture both are
    None.
    """

    name: str
    kind: str
    parameters: int
    trainable: int
    virtual_parameters: int
    groups: tuple[GroupInfo, ...]
    private: tuple[tuple[str, str], ...] = ()
    assumed: str | None = None
    program: str | None = None
    settings: dict[str, Any] | None = None
    trained: RunLine | None = None
    folded: FoldLine | None = None

    def parts(self) -> Iterator[Table | Text]:
        """Sizes, how a run was trained and its folds, groups, private layers, and the program of a fold."""
        rows = [(self.kind, self.name), *(self.trained.facts() if self.trained else ())]
        rows += [("assumed", self.assumed)] if self.assumed else []
        rows.append(("parameters", f"{self.parameters:,} ({self.trainable:,} trainable)"))
        rows.append(("virtual", f"{self.virtual_parameters:,} as if every layer had a weight of its own"))
        rows += [("test, size", str(self.folded))] if self.folded else []
        rows += [("fold", f"{fold.fold}, {fold}") for fold in self.trained.folds] if self.trained else []
        yield Table("", (), tuple(rows))
        if self.groups:
            ranked = any(group.residual for group in self.groups)
            groups = (
                (
                    g.name,
                    len(g.layers),
                    g.templates,
                    g.owners,
                    times(g.shape),
                    g.weight_numbers,
                    *((g.residual,) if ranked else ()),
                )
                for g in self.groups
            )
            residual = ("residuals of rank",) if ranked else ()
            yield Table("", ("group", "layers", "templates", "owners", "weight", "numbers", *residual), tuple(groups))
        reasons: dict[str, list[str]] = {}
        for layer, reason in self.private:
            reasons.setdefault(reason, []).append(layer)
        yield from (Text(f"private, {reason}: {', '.join(layers)}") for reason, layers in reasons.items())
        if self.program is not None:
            yield Text(self.program)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileInfo(Report):
    """What `foldnet info` says of a safetensors file. `sound` is None where neither the file nor the fold around it
    states a digest."""

    name: str
    kind: str
    bytes: int
    parameters: int
    tensors: tuple[TensorInfo, ...]
    sound: bool | None

    def parts(self) -> Iterator[Table | Text]:
        """Every tensor of a file."""
        rows = tuple((tensor.name, tensor.dtype, times(tensor.shape) or "scalar") for tensor in self.tensors)
        yield Table("", ("tensor", "type", "shape"), rows)
        sound = {None: "states no digest", True: "digest holds", False: "CHANGED after it was written"}[self.sound]
        yield Text(f"{self.name}: {self.bytes:,} bytes, {self.parameters:,} numbers, {sound}")


@runs_code
@checked
def info(name: Path | str) -> NetworkInfo | FileInfo:
    """An architecture by name, a run or fold folder, or a safetensors file. Raises UnknownName, RunError."""
    path = Path(name)
    if path.is_dir():
        return _of_fold(open_fold(path)) if kind_of(path) == "fold" else info_of_run(open_run(path))
    if path.exists():
        return _of_file(path)
    if hub_name(name) is not None:
        raise no_folder(name, "run or fold", RUN.example)
    family, _ = family_of(str(name))
    if path.suffix == ".safetensors" or (len(path.parts) > 1 and not (family and family.outside)):
        raise RunError(f"'{name}' does not exist; give an architecture, a run or fold folder, or a safetensors file")
    built = blueprint(str(name))
    answers = f" and {built.classes} classes" if built.task == "classes" else ""
    taken = f"a context of {built.size} bytes" if built.family.symbols else counted(built.channels, "input channel")
    with arch_named(str(name)), torch.device("meta"):
        found = _of_network(str(name), "architecture", built.build())
    return replace(found, assumed=f"{taken}{answers}")


def info_of_run(run: Run) -> NetworkInfo:
    """A run, from its settings; no weight is read."""
    with torch.device("meta"):
        found = _of_network(str(run.folder), "run", run.blueprint.build())
    return replace(found, settings=flat(run.settings), trained=line_of_run(run.folder))


def _of_network(name: str, kind: str, model: nn.Module) -> NetworkInfo:
    """A soft or plain network on the meta device."""
    sizes = (*_counts(model), _counts(materialise(model))[0])
    if not isinstance(model, SharedNetwork):
        return NetworkInfo(name, kind, *sizes, ())
    groups = (GroupInfo(group.name, group.layers, group.templates, None, group.shape) for group in model.plan.groups)
    return NetworkInfo(name, kind, *sizes, tuple(groups), model.plan.private)


def _of_fold(fold: Fold) -> NetworkInfo:
    """A fold, from its program; no weight is read."""
    with torch.device("meta"):
        looped, dense = fold.load_structure(), materialise(fold.blueprint.build())
    groups = []
    for group in fold.groups:
        layers = tuple(use.layer for use in fold.program.uses if use.group == group.name)
        rank = max(group.ranks, default=0)
        groups.append(GroupInfo(group.name, layers, group.templates, group.owners, group.shape, rank))
    sizes = (*_counts(looped), _counts(dense)[0])
    found = NetworkInfo(str(fold.folder), "fold", *sizes, tuple(groups), program=program_text(fold.program))
    return replace(found, folded=line_of_fold(fold.folder))


def _of_file(path: Path) -> FileInfo:
    """Any safetensors file."""
    name = str(path)
    path = path.resolve() if path.is_symlink() else path  # one that the user names is followed
    tensors, sound = list_tensors(path)
    if sound is None:
        sound = is_as_stated(path)  # a fold's config.json states the digest of its weights
    numbers = sum(math.prod(shape) for _, _, shape in tensors)
    return FileInfo(name, "file", path.stat().st_size, numbers, tuple(TensorInfo(*one) for one in tensors), sound)


def _counts(model: nn.Module) -> tuple[int, int]:
    """(all parameters, trainable parameters), each once."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
