"""Digests that tell when a file was changed, and what older versions wrote, as the present one has it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.errors import FoldnetWarning, RunError
from foldnet.store.codec import digest_of_json, of_a_folder, open_plain, read_bytes

if TYPE_CHECKING:
    from torch import Tensor

AGAIN = {
    "run": "train again",
    "fold": "fold the run again",
    "sweep": "sweep the run again",
    "study": "run the study again",
    "certificate": "verify the fold again",
}
SEAL = "sha256"  # the key of a JSON file's digest over everything else in it


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with a digest over everything else that stands in it, as "sha256"."""
    plain = {key: value for key, value in content.items() if key != SEAL}
    return plain | {SEAL: digest_of_json(plain)}


def identity_of(config: Mapping[str, Any]) -> str:
    """What tells one run from every other: the microsecond in which it was made. Settings may change as it goes on."""
    return digest_of_json(config.get("created"))


def seal_of(run: str, metrics: list[dict[str, Any]], coefficients: Mapping[str, Tensor]) -> dict[str, str]:
    """What a checkpoint says of the files beside it: whose it is, and the histories as far as it counts them."""
    from foldnet.store.tensors import digest_of_tensors  # torch, which what seals JSON need not wait for

    histories = {"metrics.jsonl": digest_of_json(metrics), "coefficients.safetensors": digest_of_tensors(coefficients)}
    return {"run": run} | histories


def changed(file: Path, kind: str) -> RunError:
    """What is said of a file of a run, fold or sweep that does not match its seal."""
    return RunError(
        f"'{file}' was changed after the {kind} was written (its SHA-256 differs); restore it or {AGAIN[kind]}"
    )


def check_sealed(content: Mapping[str, Any], file: Path, kind: str) -> None:
    """Raise RunError where the content of a file does not match the digest in it, or states none."""
    if SEAL not in content:
        raise RunError(f"'{file}' states no digest; it was edited or is foreign, so {AGAIN[kind]}")
    if sealed(content) != content:
        raise changed(file, kind)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes. Raises RunError where it is missing or cannot be read."""
    with of_a_folder(file):
        if file.suffix != ".safetensors":
            return hashlib.sha256(read_bytes(file)).hexdigest()
        from foldnet.store.tensors import check_header

        check_header(file)
        with open_plain(file) as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return digest


def check_files(folder: Path, files: Iterable[tuple[str, str]], names: Iterable[str]) -> None:
    """Raise RunError where one of the files called `names` is not as `files` (name, SHA-256) says."""
    stated = dict(files)
    for name in names:
        if sha256_of(folder / name) != stated.get(name):
            raise changed(folder / name, "fold")


SCHEMA = 3  # what this version writes


# Settings of sources that stood beside those of every training up to schema 2.
OF_SOURCES = ("image_size", "grid", "windows", "obstacles", "target", "size", "examples", "test_examples")


def check_schema(config: Mapping[str, Any], file: Path) -> None:
    """Raise RunError where a config.json is of a schema that this version does not read."""
    schema = config.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise RunError(
            f"'{file}' has schema {schema!r} and this foldnet reads 1 to {SCHEMA}; use the version that wrote it"
        )


def upgraded(config: dict[str, Any]) -> dict[str, Any]:
    """The content of a config.json of a schema that this version reads, as the present one has it (its seal is left
    alone)."""
    for step in range(config["schema"], SCHEMA):
        config = UPGRADES[step](config)
    return config


def check_seal(config: Mapping[str, Any], file: Path) -> bool:
    """Whether a config.json, as it was written, has a seal. Raises RunError where it does not match it.

    Schema 1 sealed no runs: what has no seal gives a FoldnetWarning.
    """
    if config["schema"] > 1 or SEAL in config:
        check_sealed(config, file, config["kind"])
        return True
    warnings.warn(
        f"'{file.parent}' is of schema 1 and has no seal, so that a change to its files is not noticed",
        FoldnetWarning,
        stacklevel=2,  # the same place whoever opens it, so that it is said once
    )
    return False


def _from_1(config: dict[str, Any]) -> dict[str, Any]:
    """Folds did not always state the size of their images (32 then) and the digests of their files."""
    config = config | {"schema": 2}
    if config.get("kind") == "fold" and isinstance(config.get("network"), dict):
        config = {"files": {}} | config | {"network": {"size": 32} | config["network"]}
    return config


def _from_2(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run's source stood beside those of every training, null where the source has none of that
    name."""
    config = config | {"schema": 3}
    settings = config.get("settings")
    if config.get("kind") == "run" and isinstance(settings, dict) and "dataset" in settings:
        own = {name: settings[name] for name in OF_SOURCES if settings.get(name) is not None}
        rest = {name: value for name, value in settings.items() if name not in ("dataset", *OF_SOURCES)}
        config["settings"] = rest | {"source": {"name": settings["dataset"]} | own}
    return config


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
