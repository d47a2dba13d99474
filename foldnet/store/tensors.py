"""Tensor files: safetensors with JSON metadata and a digest that tells when somebody changed them."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from foldnet.errors import RunError
from foldnet.hardware import memory_bytes
from foldnet.store.codec import digest_of_json, of_a_folder, open_plain, parse_json
from foldnet.store.files import write_whole

# The format's names for types, in the order in which it puts their tensors.
_TYPES = ("I64", "F64", "F32", "I32", "BF16", "F16", "I16", "I8", "U8", "BOOL")


@dataclass(frozen=True, slots=True)
class TensorFile:
    """What a file holds: tensors by name, and the plain data that was stored with them."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write tensors and metadata (plain data) into one file, whole or not at all. Raises OutputError where it cannot be
    written.

    Names may have parts, "model/stem.weight": each first part has a digest of its own and can be read alone.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    digests = {part: _digest(plain, part) for part in sorted({_part(name) for name in plain})}
    write_whole(path, save(plain, {"foldnet": _stated(metadata, digests)}))


def load_tensors(path: Path, part: str | None = None) -> TensorFile:
    """Read a file that save_tensors wrote, or one part of it (its names then come without "part/").

    Raises RunError where the file is missing, cut short, changed after it was written, not foldnet's, or without that
    part.
    """
    with _opened(path) as file:
        metadata, digests = _about(file, path)
        if part is not None:
            _check_part(digests, part, path)
        wanted = [name for name in file.keys() if part is None or _part(name) == part]  # noqa: SIM118 (not a dict)
        tensors = {name: file.get_tensor(name) for name in wanted}
    for name in sorted({_part(name) for name in tensors} | ({part} if part is not None else set(digests))):
        if digests.get(name) != _digest(tensors, name):
            raise _changed(path)
    strip = 0 if part is None else len(part) + 1
    return TensorFile({name[strip:]: tensor for name, tensor in tensors.items()}, metadata)


def digest_of(path: Path, part: str = "") -> str:
    """The digest that the file states for one part, without reading the tensors. Raises RunError as load_tensors
    does."""
    with _opened(path) as file:
        _, digests = _about(file, path)
    _check_part(digests, part, path)
    return str(digests[part])


def facts_of(path: Path) -> dict[str, Any]:
    """The metadata of a file, without reading the tensors. Raises RunError as load_tensors does."""
    with _opened(path) as file:
        return _about(file, path)[0]


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and contents of tensors on the CPU."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        sha.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def list_tensors(path: Path) -> tuple[list[tuple[str, str, tuple[int, ...]]], bool | None]:
    """(name, type, shape) of every tensor of any safetensors file, and whether its digest holds (None: it states
    none)."""
    with _opened(path) as file:
        listed = []
        for name in file.keys():  # noqa: SIM118 (not a dict)
            part = file.get_slice(name)
            listed.append((name, str(part.get_dtype()), tuple(part.get_shape())))
        stated = "foldnet" in (file.metadata() or {})
    if not stated:
        return listed, None
    try:
        load_tensors(path)
    except RunError:
        return listed, False
    return listed, True


def check_header(path: Path) -> None:
    """Raise RunError for a file that is not as long as its header says, or longer than the memory: before all of it is
    read."""
    with _opened(path):
        pass


def file_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None, *, stated: bool = True) -> int:
    """Bytes of the file that save_tensors writes, header included: nothing is allocated, meta tensors will do. Tensors
    of other types than a file may hold count with their bytes.

    Without `stated` what the file says of itself is left out, as version 0.1 counted.
    """
    digests = dict.fromkeys(sorted({_part(name) for name in tensors}), "0" * hashlib.sha256().digest_size * 2)
    header: dict[str, Any] = {"__metadata__": {"foldnet": _stated(metadata, digests)}} if stated else {}
    offset = 0
    # The length of a header depends on the offsets that it states, so the order matters: by type, then by name.
    for name, tensor in sorted(tensors.items(), key=lambda entry: (_TYPES.index(_type(entry[1])), entry[0])):
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _type(tensor), "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + math.ceil(len(text) / 8) * 8 + offset


def _type(tensor: Tensor) -> str:
    """The format's name for a tensor's type, such as BF16 for torch.bfloat16; U8 for one that a file may not hold."""
    name = str(tensor.dtype).removeprefix("torch.").replace("float", "F").replace("uint", "U").replace("int", "I")
    return name.upper() if name.upper() in _TYPES else "U8"


def _stated(metadata: Mapping[str, Any] | None, digests: Mapping[str, str]) -> str:
    """What a file says of itself: plain data, and digests over them and over each part of the tensors."""
    facts = dict(metadata or {})
    about = {"metadata": facts, "metadata_sha256": digest_of_json(facts), "sha256": dict(digests)}
    return json.dumps(about, allow_nan=False)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file; whatever is wrong with it becomes one sentence."""
    with of_a_folder(path), open_plain(path) as plain:  # before safetensors, which follows links
        size = os.fstat(plain.fileno()).st_size
    total, _ = memory_bytes()
    if total is not None and size > total:
        raise RunError(f"'{path}' has {size:,} bytes, more than this machine's memory; restore the original file")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        why = "it was cut short or changed" if path.suffix == ".safetensors" else "it is no safetensors file"
        raise RunError(f"'{path}' cannot be read as tensors ({error}); {why}") from None


def _about(file: Any, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The metadata and the digests that stand in the file's header."""
    try:
        about = parse_json((file.metadata() or {})["foldnet"])
        metadata, stated, digests = dict(about["metadata"]), about["metadata_sha256"], dict(about["sha256"])
    except (KeyError, TypeError, ValueError):
        raise RunError(f"'{path}' was not written by foldnet; point at a run or fold folder that was") from None
    if stated != digest_of_json(metadata):
        raise _changed(path)
    return metadata, digests


def _check_part(digests: Mapping[str, str], part: str, path: Path) -> None:
    """Raise RunError where a file has no such part."""
    if part not in digests:
        raise RunError(f"'{path}' has no part '{part}'; it is not the file that it should be")


def _changed(path: Path) -> RunError:
    """What is said of a file that does not match its digest."""
    return RunError(f"'{path}' was changed after it was written (its digest differs); restore the original file")


def _part(name: str) -> str:
    """The first part of a name, "" where it has only one."""
    return name.split("/")[0] if "/" in name else ""


def _digest(tensors: Mapping[str, Tensor], part: str) -> str:
    """The digest of the tensors of one part."""
    return digest_of_tensors({name: tensor for name, tensor in tensors.items() if _part(name) == part})
