"""Seals: digests that tell when a file was changed after it was written.

They guard against accidents: an edited setting, a file of another run, a copy cut short. They have no key, so whoever wants to
deceive can make them anew.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from foldnet.errors import RunError
from foldnet.store.tensors import digest_of_tensors

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
