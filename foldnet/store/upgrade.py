"""What earlier versions wrote, as this one reads it: upgraded in memory, one schema at a time; files are never
touched."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foldnet.errors import FoldnetWarning, RunError
from foldnet.store.seals import SEAL, check_sealed

SCHEMA = 3  # what this version writes


OF_SOURCES = (
    "image_size",
    "grid",
    "windows",
    "obstacles",
    "target",
    "size",
    "examples",
    "test_examples",
)  # up to schema 2


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

    Schema 1 is that of foldnet 0.1, which sealed no runs: what has no seal gives a FoldnetWarning.
    """
    if config["schema"] > 1 or SEAL in config:
        check_sealed(config, file, config["kind"])
        return True
    warnings.warn(
        f"'{file.parent}' was written by foldnet 0.1 and has no seal, so that a change to its files is not noticed",
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
