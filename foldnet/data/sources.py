"""All sources, each with settings of its own. A new one is a line in SOURCES."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from foldnet.data.drawn_sources import Addition, Mazes, Paths, PrefixSums
from foldnet.data.source import Asked, Source
from foldnet.errors import check_known, either
from foldnet.options import Option

if TYPE_CHECKING:
    from foldnet.data.dataset import Dataset, Split


@dataclass(frozen=True, slots=True)
class Digits(Source):
    """The 1,797 images inside scikit-learn."""

    name: ClassVar[str] = "digits"
    preset: ClassVar[Mapping[str, Any]] = {"epochs": 30, "batch_size": 64, "validation": 360}
    soft_preset: ClassVar[Mapping[str, Any]] = {"recurrence": 0.5, "recurrence_form": "loops"}

    def images(self, asked: Asked) -> Dataset:
        """1,437 training and 360 test images."""
        from foldnet.data.images import load_digits

        return load_digits()


@dataclass(frozen=True, slots=True)
class Cifar10(Source):
    """60,000 images of ten classes."""

    name: ClassVar[str] = "cifar10"

    def images(self, asked: Asked) -> Dataset:
        """50,000 training and 10,000 test images."""
        from foldnet.data.images import load_cifar

        return load_cifar(self.name, asked.data_dir, asked.download)


@dataclass(frozen=True, slots=True)
class Cifar100(Cifar10):
    """60,000 images of a hundred classes."""

    name: ClassVar[str] = "cifar100"


@dataclass(frozen=True, slots=True)
class PictureFolder(Source):
    """A user's own pictures, resized to squares."""

    name: ClassVar[str] = "folder"
    image_size: Annotated[int, Option("Side to which `folder` resizes its images.")] = 32

    def images(self, asked: Asked) -> Dataset:
        """DIR/train/CLASS/* and DIR/test/CLASS/*."""
        from foldnet.data.folder import load_folder

        return load_folder(asked.data_dir, self.image_size, asked.beside)


@dataclass(frozen=True, slots=True)
class TextSource(Source):
    """The bytes of a text: a user's own, or the documentation inside Python; `validation` counts bytes."""

    name: ClassVar[str] = "text"
    task: ClassVar[str] = "bytes"
    arch: ClassVar[str] = "sgpt-8-128-4-4"
    context: Annotated[int, Option("Bytes of `text` that a network sees at once.")] = 128

    def load(self, asked: Asked) -> tuple[Dataset, Split]:
        """Contiguous parts: to train on, to choose by, and the last tenth to test on."""
        from foldnet.data.text import load_text

        return load_text(asked.data_dir, self.context, asked.validation)


KINDS = (Digits, Cifar10, Cifar100, PictureFolder, Paths, Mazes, PrefixSums, Addition, TextSource)
SOURCES: dict[str, type[Source]] = {source.name: source for source in KINDS}


def source_type(name: str) -> type[Source]:
    """A kind of source by name. Raises UnknownName."""
    check_known([name], SOURCES, lambda _: f"dataset '{name}' is not known; choose {either(SOURCES)}")
    return SOURCES[name]
