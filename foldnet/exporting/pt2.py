"""torch's own format: an exported program, its loops written out, every owner once.

torch.export.load unpickles parts of such a file, so foldnet loads none that it is given: see `rebuilt_pt2`.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldnet.errors import RunError
from foldnet.exporting.given import Given
from foldnet.exporting.report import ExportReport
from foldnet.exporting.traced import alone, traced
from foldnet.exporting.unrolled import unique_bytes, written_out
from foldnet.program.data import loops_of
from foldnet.store.files import write_whole

ABOUT = "foldnet.json"  # among the extra files of an archive
OWN = (".data/serialization_id",)  # of an archive, not of what it holds


def write_pt2(given: Given, file: Path) -> ExportReport:
    """Write the network, its loops written out, whole or not at all. Raises SettingError for what torch cannot
    export."""
    network = written_out(given.network)
    unique = unique_bytes(network)
    content, _ = _packed(given, network, unique)
    write_whole(file, content)
    return ExportReport(
        file=str(file),
        format="pt2",
        form=given.form,
        source=given.source,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        unique_bytes=unique,
        unrolled=dict.fromkeys(loops_of(given.program) if given.program else (), "torch.export has no such loops"),
        notes=given.notes,
        scaling=given.scaling,
    )


def rebuilt_pt2(given: Given, content: bytes, file: Path) -> Callable[[Tensor], Tensor]:
    """What a file computes, without loading it: the network is exported again, and the file must hold the same, byte by
    byte. Raises RunError where it does not."""
    network = written_out(given.network)
    fresh, program = _packed(given, network, unique_bytes(network))
    if (entry := _difference(content, fresh)) is not None:
        written, here = about_pt2(content, file)["versions"]["torch"], torch.__version__
        if written.partition("+")[0] != here.partition("+")[0]:
            raise RunError(f"'{file}' was written by torch {written} and torch {here} is here; check it with {written}")
        raise RunError(f"'{file}' was changed after it was written ({entry} differs); export the fold again")
    run: Callable[[Tensor], Tensor] = program.module()
    return run


def about_pt2(content: bytes, file: Path) -> dict[str, Any]:
    """What an archive says of itself. Raises RunError for what is none of foldnet's."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            name = next(name for name in archive.namelist() if name.endswith(f"extra/{ABOUT}"))
            found: dict[str, Any] = json.loads(json.loads(archive.read(name))["foldnet"])
            return found
    except (zipfile.BadZipFile, StopIteration, ValueError, KeyError, TypeError, OSError):
        raise RunError(f"'{file}' was not written by foldnet export; give a file that was") from None


def _packed(given: Given, network: torch.nn.Module, unique: int) -> tuple[bytes, Any]:
    """The archive, and the program in it, which tells nothing of whose code it was traced from."""
    program = traced(network, given.inputs, given.length)
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            for name in ("stack_trace", "nn_module_stack", "torch_fn"):
                node.meta.pop(name, None)
    about = json.dumps(given.about(format="pt2", loops={}, dial=[], unique_bytes=unique))
    packed = io.BytesIO()
    with alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, packed, extra_files={ABOUT: about})
    return packed.getvalue(), program


def weights_in(content: bytes) -> int:
    """Bytes of the weights in an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(one.file_size for one in archive.infolist() if "/data/weights/weight_" in one.filename)


def _difference(one: bytes, other: bytes) -> str | None:
    """The first entry in which an archive differs from another; None where they hold the same."""
    try:
        ours, theirs = _entries(one), _entries(other)
    except zipfile.BadZipFile as error:
        return f"its checksum ({error})"
    names = (name for name in sorted(ours.keys() | theirs.keys()) if name not in OWN)
    return next((f"'{name}' in it" for name in names if ours.get(name) != theirs.get(name)), None)


def _entries(content: bytes) -> dict[str, bytes]:
    """The entries of an archive, by their names inside its one folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
