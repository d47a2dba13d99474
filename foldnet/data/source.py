"""A source: where examples come from, before they are loaded.

Knows no torch until data are loaded, so that command lines can be made from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from foldnet.options import check_fields

if TYPE_CHECKING:
    from foldnet.data.dataset import Dataset, Split


@dataclass(frozen=True, slots=True)
class Asked:
    """What a training asks of a source: a share or number of examples to choose by, a seed, and where files lie or may
    be put; `beside` processes of this machine ask at one time."""

    validation: float = 0.0
    seed: int = 0
    data_dir: Path | None = None
    download: bool = False
    beside: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset before it is loaded. Fields that have an Option are its settings; `arch` is trained on it where none is
    named, `preset` changes training settings, `soft_preset` also those of soft networks."""

    name: ClassVar[str]
    task: ClassVar[str] = "classes"
    arch: ClassVar[str] = "swrn-28-2-4"
    preset: ClassVar[Mapping[str, Any]] = {}
    soft_preset: ClassVar[Mapping[str, Any]] = {}
    phases_by: ClassVar[str] = ""  # the option that names its phases

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def phases(self) -> int:
        """How many parts a training on it has, each with data of its own."""
        return 1

    @property
    def phase_names(self) -> tuple[str, ...]:
        """What pictures call these parts; none of one that needs no name."""
        return ()

    def load(self, asked: Asked) -> tuple[Dataset, Split]:
        """The dataset and its split. Raises DataError where files are not what they should be, SettingError."""
        from foldnet.data.dataset import split_validation

        dataset = self.images(asked)
        return dataset, split_validation(dataset, asked.validation, asked.seed)

    def images(self, asked: Asked) -> Dataset:
        """The dataset of a source that has a split of images."""
        raise NotImplementedError
