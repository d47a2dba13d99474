"""Seals: digests that tell when a file was changed after it was written.

They guard against accidents: an edited setting, a file of another run, a copy cut short. They have no key, so whoever
wants to deceive can make them anew.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from foldnet.errors import RunError
from foldnet.store.reading import NotPlain, open_plain, read_bytes
from foldnet.store.tensors import check_header, digest_of_tensors

AGAIN = {"run": "train again", "fold": "fold the run again", "sweep": "sweep the run again"}
SEAL = "sha256"  # the key of a JSON file's digest over everything else in it


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with a digest over everything else that stands in it, as "sha256"."""
    plain = {key: value for key, value in content.items() if key != SEAL}
    return plain | {SEAL: digest_of_json(plain)}


def digest_of_json(value: Any) -> str:
    """SHA-256 over plain data, however they are written."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def identity_of(config: Mapping[str, Any]) -> str:
    """What tells one run from every other: the microsecond in which it was made. Settings may change as it goes on."""
    return digest_of_json(config.get("created"))


def seal_of(run: str, metrics: list[dict[str, Any]], coefficients: Mapping[str, Tensor]) -> dict[str, str]:
    """What a checkpoint says of the files beside it: whose it is, and the histories as far as it counts them."""
    return {
        "run": run,
        "metrics.jsonl": digest_of_json(metrics),
        "coefficients.safetensors": digest_of_tensors(coefficients),
    }


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
    try:
        if file.suffix != ".safetensors":
            return hashlib.sha256(read_bytes(file)).hexdigest()
        check_header(file)
        with open_plain(file) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        raise RunError(f"'{file}' is missing; was the folder copied whole?") from None
    except OSError as error:
        raise RunError(f"'{file}' cannot be read ({error.strerror}); check its permissions") from None
    except NotPlain as error:
        raise RunError(f"'{file}' {error}") from None


def check_files(folder: Path, files: Iterable[tuple[str, str]], names: Iterable[str]) -> None:
    """Raise RunError where one of the files called `names` is not as `files` (name, SHA-256) says."""
    stated = dict(files)
    for name in names:
        if sha256_of(folder / name) != stated.get(name):
            raise changed(folder / name, "fold")
