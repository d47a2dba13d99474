"""Exported files opened again: what they say of themselves, and what they compute."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import torch

from foldnet.errors import RunError
from foldnet.exporting.given import Given
from foldnet.exporting.needs import needed
from foldnet.exporting.runtimes import Run, onnxruntime_of, openvino_of
from foldnet.hardware import memory_bytes
from foldnet.program.data import Program, loops_of
from foldnet.store.codec import of_a_folder, read_bytes
from foldnet.store.tensors import facts_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

ENDINGS = (".onnx", ".pt2", ".safetensors")


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of itself, see Given.about; `dial` are the loops whose trips are inputs, those `together` one
    Loop of the file."""

    format: Literal["onnx", "pt2", "safetensors"]
    files: dict[str, str]
    versions: dict[str, str]
    source: str = ""
    loops: dict[str, int] = field(default_factory=dict)
    dial: tuple[str, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that foldnet wrote, unchanged since, and what it says of itself."""

    file: Path
    sha256: str
    content: bytes
    about: About

    def check_origin(self, folder: Path, files: Iterable[tuple[str, str]], program: Program) -> None:
        """Raise RunError where it was not made of the fold in `folder`, whose files have these digests."""
        if self.about.files != dict(files):
            source = self.about.source or "a network in memory"
            source = f"another {source}" if source == Path(folder).name else source
            raise RunError(f"'{self.file}' was not made of fold '{folder}', but of {source}; name its own fold")
        if not loops_of(program).keys() >= {*self.about.dial, *self.about.loops}:
            raise _foreign(self.file)


def opened(file: Path) -> Exported:
    """A file by its ending, with nothing of it run. Raises RunError for what is none of foldnet's or was changed,
    MissingTool."""
    _check_named(file)
    with of_a_folder(file):
        size, (total, _) = file.stat().st_size, memory_bytes()
        if total is not None and size > total:
            raise RunError(f"'{file}' has {size:,} bytes, more than this machine's memory; give an exported file")
        content = read_bytes(file, most=size, links=True)
    facts = {".onnx": _about_onnx, ".pt2": _about_pt2, ".safetensors": _about_tensors}[file.suffix.lower()]
    try:
        about = msgspec.convert(facts(file, content), About)
    except msgspec.ValidationError:
        raise _foreign(file) from None
    if file.suffix.lower() != f".{about.format}":
        raise _foreign(file)
    return Exported(file, hashlib.sha256(content).hexdigest(), content, about)


def _check_named(file: Path) -> None:
    """Raise RunError for what is no file, or has another ending."""
    if file.is_dir():
        why = "is a folder"
    elif file.suffix.lower() not in ENDINGS:
        why = f"has ending '{file.suffix}'" if file.suffix else "has no ending"
    elif not file.is_file():
        why = "is no file" if file.exists() else "does not exist"
    else:
        return
    raise RunError(f"'{file}' {why}; give an exported file, {', '.join(ENDINGS)}")


def _foreign(file: Path) -> RunError:
    """What is said of a file that says of itself nothing that foldnet writes."""
    return RunError(f"'{file}' was not written by foldnet export; give a file that was")


def _about_onnx(file: Path, content: bytes) -> dict[str, Any]:
    """What an ONNX file says of itself. Raises RunError, MissingTool."""
    needed("onnx")
    from foldnet.exporting.onnx_model import is_sealed, model_in

    model = model_in(content, file)
    try:
        facts: dict[str, Any] = json.loads({one.key: one.value for one in model.metadata_props}["foldnet"])
    except (KeyError, ValueError):
        raise _foreign(file) from None
    if not is_sealed(model):
        raise RunError(f"'{file}' was changed after it was written (its digest differs); export the fold again")
    return facts


def _about_pt2(file: Path, content: bytes) -> dict[str, Any]:
    """The same of a .pt2 file."""
    from foldnet.exporting.pt2 import about_pt2

    return about_pt2(content, file)


def _about_tensors(file: Path, content: bytes) -> dict[str, Any]:
    """The same of a safetensors file."""
    return facts_of(file)


def runners(exported: Exported, given: Given, *, threads: int = 0) -> dict[str, Run]:
    """What runs a file, by the names of runtimes that are installed. Raises RunError where it holds something else than
    the network `given`, MissingTool where nothing here runs it."""
    if exported.about.format == "onnx":
        needed("onnxruntime")
        model = exported.content, exported.file
        found = {f"onnxruntime {metadata.version('onnxruntime')}": onnxruntime_of(*model, threads=threads)}
        with suppress(ImportError, metadata.PackageNotFoundError):
            found[f"openvino {metadata.version('openvino')}"] = openvino_of(*model, threads=threads)
        return found
    if exported.about.format == "pt2":
        from foldnet.exporting.pt2 import rebuilt_pt2

        run = rebuilt_pt2(given, exported.content, exported.file)
    else:
        from foldnet.exporting.tensors_file import rebuilt_tensors

        run = rebuilt_tensors(given, exported.file)
    return {f"torch {torch.__version__}": lambda x, trips: run(x)}


def weight_bytes(content: bytes, file: Path) -> tuple[int, int]:
    """Bytes of the constants in an ONNX model, and in the one that onnxruntime makes of it, those of subgraphs
    included."""
    from foldnet.exporting.onnx_model import model_in

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "optimised.onnx"
        onnxruntime_of(content, file, optimised=place)
        optimised = model_in(place.read_bytes(), place)
    return _constant_bytes(model_in(content, file)), _constant_bytes(optimised)


def _constant_bytes(model: ModelProto) -> int:
    """Bytes of a model's constants."""
    from onnx import numpy_helper

    from foldnet.exporting.onnx_graph import subgraphs

    def graphs(graph: GraphProto) -> Iterator[GraphProto]:
        yield graph
        for node in graph.node:
            for inner in subgraphs(node):
                yield from graphs(inner)

    return sum(numpy_helper.to_array(one).nbytes for graph in graphs(model.graph) for one in graph.initializer)
