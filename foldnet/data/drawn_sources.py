"""Sources whose examples are drawn by a seed, as many and as large as are asked for: grids, strings of bits, sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from foldnet.bounds import Bound
from foldnet.data.source import Asked, Source
from foldnet.options import Option

if TYPE_CHECKING:
    from foldnet.data.dataset import Dataset, Split
    from foldnet.data.rules import Rule

# What the paper says of shortest paths (section 4.4); batch size, decay and held-out grids it does not say.
GRID_PRESET = {"batch_size": 32, "optimiser": "adam", "lr": 0.01, "schedule": "constant", "weight_decay": 0.0}
WINDOWS = (5, 9, 13, 17, 21)
# Bansal et al., https://arxiv.org/abs/2202.05826, but for the 150 epochs of their 400 channels: these suit 32 channels.
# Of 100 strings of 512 bits none came out right without rms norm and 71 without parts, of one seed; with parts up to
# twice as far as the last step, and no mixed starts, 42 of another.
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

    def counted(self, count: int) -> str:
        """So many of them in words."""
        return f"{count} {self.described}"

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
    phases_by: ClassVar[str] = "windows"
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
    def phase_names(self) -> tuple[str, ...]:
        """By their windows, even a single one."""
        return tuple(f"window {window}" for window in self.windows)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """One a window."""
        from foldnet.data.rules import PathRule

        return tuple(PathRule(self.grid, window, self.obstacles, self.target) for window in self.windows)


@dataclass(frozen=True, slots=True)
class Mazes(GridSource):
    """Perfect mazes of side `size`, behind a phase for each of the sides that are `smaller`."""

    name: ClassVar[str] = "mazes"
    phases_by: ClassVar[str] = "smaller"
    preset: ClassVar[Mapping[str, Any]] = GRID_PRESET | {"epochs": 50}
    size: Annotated[int, Option("Side of `mazes` in cells, walls included (odd).")] = 9
    smaller: Annotated[
        tuple[int, ...], Option("Sides of other `mazes` that come first, a phase each.", suggested=("9,9,13",))
    ] = ()

    @property
    def phases(self) -> int:
        """One a side."""
        return len(self.smaller) + 1

    @property
    def phase_names(self) -> tuple[str, ...]:
        """By their sides."""
        return tuple(f"{side} x {side}" for side in (*self.smaller, self.size)) if self.smaller else ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """One a side."""
        from foldnet.data.rules import MazeRule

        return tuple(MazeRule(side) for side in (*self.smaller, self.size))


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

    def counted(self, count: int) -> str:
        """So many strings, which repeat where there are fewer."""
        several = f", of which {1 << self.length} are different" if count > 1 << self.length else ""
        return DrawnSource.counted(self, count) + several

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
