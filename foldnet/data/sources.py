"""Sources: where examples come from, each with settings of its own. A new one is a line in SOURCES.

Knows no torch until data are loaded, so that command lines can be made from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from foldnet.bounds import Bound
from foldnet.errors import check_known, either
from foldnet.options import Option, check_fields

if TYPE_CHECKING:
    from foldnet.data.dataset import Dataset, Split
    from foldnet.data.rules import Rule


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

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def phases(self) -> int:
        """How many parts a training on it has, each with data of its own."""
        return 1

    def load(self, asked: Asked) -> tuple[Dataset, Split]:
        """The dataset and its split. Raises DataError where files are not what they should be, SettingError."""
        from foldnet.data.dataset import split_validation

        dataset = self.images(asked)
        return dataset, split_validation(dataset, asked.validation, asked.seed)

    def images(self, asked: Asked) -> Dataset:
        """The dataset of a source that has a split of images."""
        raise NotImplementedError


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


# What the paper says of shortest paths (section 4.4); batch size, decay and held-out grids it does not say.
GRID_PRESET = {"batch_size": 32, "optimiser": "adam", "lr": 0.01, "schedule": "constant", "weight_decay": 0.0}
WINDOWS = (5, 9, 13, 17, 21)
# Bansal et al., https://arxiv.org/abs/2202.05826, but for the 150 epochs of their 400 channels: these suit 32 channels.
# Without rms norm no string of 512 bits came out right, without mixed starts 42 of 100 of one seed.
RATES = {"epochs": 40, "batch_size": 64, "optimiser": "adam", "lr": 3e-3, "schedule": "cosine", "warmup": 0.05}
STEPS = {"weight_decay": 0.0, "clip": 1.0, "norm": "rms", "precision": "fp32"}
PARTS = {"progressive": 1.0, "progressive_reach": 4.0, "mixed_starts": 0.33}
TRAINED_ON = Option("Grids to train on in a phase of `paths` or `mazes`; strings of `prefix-sums`, sums of `addition`.")
TESTED_ON = Option("Grids to test on, as the last phase draws them; strings of `prefix-sums`, sums of `addition`.")
LONG = "Bits of a string of `prefix-sums`; most digits of a number of `addition`, of which 1 to so many are trained on."


@dataclass(frozen=True, slots=True)
class DrawnSource(Source):
    """Examples that are drawn as they are needed, so that others of another size can be drawn to score on."""

    examples: Annotated[int, TRAINED_ON] = 5000
    test_examples: Annotated[int, TESTED_ON] = 1000
    described: ClassVar[Any]  # what is drawn, of a curriculum in the last phase, in words

    def others(self, count: int, seed: int) -> Dataset:
        """So many examples of this size to test on that no training has seen. Raises SettingError."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class GridSource(DrawnSource):
    """Grids that are drawn as they are needed, phase by phase; `validation` counts grids drawn besides."""

    task: ClassVar[str] = "cells"
    arch: ClassVar[str] = "scnn-20-32-20"

    @property
    def rules(self) -> tuple[Rule, ...]:
        """How each phase draws. Raises SettingError for what no grid can be."""
        raise NotImplementedError

    @property
    def described(self) -> str:
        """The grids of the last phase in words."""
        return self.rules[-1].described

    def others(self, count: int, seed: int) -> Dataset:
        """Grids as the last phase draws them."""
        from foldnet.data.curriculum import dataset_of, images_of_grids
        from foldnet.data.rules import draw_grids

        rule = self.rules[-1]
        images = images_of_grids(draw_grids(count, rule, seed=seed, phase=0, split="test"))
        return dataset_of(rule, images, images)

    def load(self, asked: Asked) -> tuple[Dataset, Split]:
        """All phases, drawn by the seed."""
        from foldnet.data.curriculum import Curriculum, split_curriculum

        counts = self.examples, asked.validation, self.test_examples
        return split_curriculum(Curriculum(self.rules, *counts, asked.seed))


@dataclass(frozen=True, slots=True)
class Paths(GridSource):
    """Grids of side `grid`, a phase for each of the `windows` of the queries, `obstacles` by that probability."""

    name: ClassVar[str] = "paths"
    preset: ClassVar[Mapping[str, Any]] = GRID_PRESET | {"epochs": 250}
    grid: Annotated[int, Option("Side of the grids of `paths` in cells.")] = 32
    windows: Annotated[tuple[int, ...], Option("Windows (odd) of the queries of `paths`, a phase each.")] = WINDOWS
    obstacles: Annotated[float, Option("Probability that a cell of `paths` is an obstacle.")] = 0.1
    target: Annotated[str, Option("What `paths` asks for: union of all shortest paths, or one.")] = "union"

    @property
    def phases(self) -> int:
        """One a window."""
        return len(self.windows)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """One a window."""
        from foldnet.data.rules import PathRule

        return tuple(PathRule(self.grid, window, self.obstacles, self.target) for window in self.windows)


@dataclass(frozen=True, slots=True)
class Mazes(GridSource):
    """Perfect mazes of side `size`."""

    name: ClassVar[str] = "mazes"
    preset: ClassVar[Mapping[str, Any]] = GRID_PRESET | {"epochs": 50}
    size: Annotated[int, Option("Side of `mazes` in cells, walls included (odd).")] = 9

    @property
    def rules(self) -> tuple[Rule, ...]:
        """One phase."""
        from foldnet.data.rules import MazeRule

        return (MazeRule(self.size),)


@dataclass(frozen=True, slots=True)
class PrefixSums(DrawnSource):
    """Strings of `length` bits, of each of which is asked whether the sum up to it is odd."""

    name: ClassVar[str] = "prefix-sums"
    task: ClassVar[str] = "bits"
    arch: ClassVar[str] = "scnn1d-20-32-1-recall"
    preset: ClassVar[Mapping[str, Any]] = RATES | STEPS | PARTS
    length: Annotated[int, Option(LONG)] = 32
    examples: Annotated[int, TRAINED_ON] = 10_000

    @property
    def described(self) -> str:
        """The strings in words."""
        return f"strings of {self.length} bits"

    def load(self, asked: Asked) -> tuple[Dataset, Split]:
        """All strings, drawn by the seed."""
        from foldnet.data.bits import split_bits

        return split_bits(self.length, self.examples, asked.validation, self.test_examples, asked.seed)

    def others(self, count: int, seed: int) -> Dataset:
        """Strings of this length."""
        from foldnet.data.bits import other_bits

        return other_bits(self.length, count, seed)


@dataclass(frozen=True, slots=True)
class Addition(DrawnSource):
    """Sums of two numbers as bytes: trained on those of 1 to `length` digits, scored on those of just so many."""

    name: ClassVar[str] = "addition"
    task: ClassVar[str] = "sums"
    arch: ClassVar[str] = "sgpt-2-64-4-1-abacus"
    preset: ClassVar[Mapping[str, Any]] = {"epochs": 20, "batch_size": 64, "lr": 4e-3, "clip": 1.0, "precision": "fp32"}
    length: Annotated[int, Option(LONG, bound=Bound(2, 31))] = 4
    examples: Annotated[int, TRAINED_ON] = 20_000

    @property
    def context(self) -> int:
        """Bytes of the longest sum that a network sees."""
        return 3 * self.length + 2

    @property
    def described(self) -> str:
        """The sums in words."""
        return f"sums of numbers of {self.length} digits"

    def load(self, asked: Asked) -> tuple[Dataset, Split]:
        """All sums, drawn by the seed."""
        from foldnet.data.addition import split_sums

        return split_sums(self.length, self.examples, asked.validation, self.test_examples, asked.seed)

    def others(self, count: int, seed: int) -> Dataset:
        """Sums of numbers of this many digits."""
        from foldnet.data.addition import other_sums

        return other_sums(self.length, count, seed)


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
