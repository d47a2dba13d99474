"""Datasets of images by name."""

from pathlib import Path
from typing import Any

from foldnet.data.dataset import Dataset
from foldnet.data.source import Asked
from foldnet.training.settings import make_source


def load_dataset(name: str, *, data_dir: Path | None = None, download: bool = False, **own: Any) -> Dataset:
    """The dataset that a training on it has, `own` being the source's settings."""
    return make_source(name, own).images(Asked(data_dir=data_dir, download=download))
