"""Other grids than a network was trained on, and its scores by the length of the path."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foldnet.data.batches import Batches
from foldnet.data.curriculum import dataset_of, draw_rule, images_of_grids
from foldnet.data.dataset import Dataset
from foldnet.data.sources import SOURCES, GridSource, make_source, source_settings
from foldnet.data.tasks import CELLS
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.options import fields_of, plain
from foldnet.training.evaluate import Score, evaluate
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer
from foldnet.training.other_grids import OtherGrids
from foldnet.training.runs import Run

COUNT = 1000
SEED = 0  # other grids are the same for every network
BINS = 12  # rows of lengths that a reader still takes in


@dataclass(frozen=True, slots=True)
class LengthScore:
    """Scores of grids whose shortest path has from `shortest` to `longest` steps; `whole` is the share that is wholly
    right."""

    computed: ClassVar = ("f1", "whole")
    shortest: int
    longest: int
    grids: int
    right: int
    hits: int
    misses: int
    false: int

    @property
    def span(self) -> str:
        """The lengths in words."""
        return f"{self.shortest}" if self.shortest == self.longest else f"{self.shortest} to {self.longest}"

    @property
    def f1(self) -> float:
        """F1 of the cells, 0..1."""
        return CELLS.score((self.right, self.hits, self.misses, self.false), self.grids)

    @property
    def whole(self) -> float:
        """Share of grids whose every cell is right, 0..1."""
        return self.right / self.grids


def other_grids(run: Run, wanted: OtherGrids) -> tuple[Dataset, str]:
    """A dataset of test grids that no training has seen, and what they are in words.

    Raises SettingError for a run of another kind of data or for grids that cannot be, UnknownName for another dataset.
    """
    own = run.settings.source
    grids = tuple(name for name, source in SOURCES.items() if issubclass(source, GridSource))
    if not isinstance(own, GridSource):
        raise SettingError(
            f"run '{run.folder}' was trained on {own.name}, whose images have no grids; leave out "
            "`dataset`, `grid` and the like"
        )
    name = wanted.dataset or own.name
    if name not in grids:
        raise UnknownName(f"`dataset={name!r}` has no grids; choose {' or '.join(grids)}{nearest(name, grids)}")
    given = {
        key: value for key, value in asdict(wanted).items() if key not in ("dataset", "count") and value is not None
    }
    if "window" in given and "windows" in fields_of(SOURCES[name]):
        given["windows"] = (given.pop("window"),)
    for key, value in given.items():
        if key not in fields_of(SOURCES[name]):
            raise SettingError(
                f"--{key} {value} has no meaning for {name}; it is for {source_settings().get(key, ('paths',))[0]}"
            )
    usual = {key: value for key, value in plain(own).items() if key in fields_of(SOURCES[name])}
    source = make_source(name, usual | given)
    assert isinstance(source, GridSource)
    count = wanted.count if wanted.count is not None else COUNT
    images = images_of_grids(draw_rule(count, source.rules[-1], seed=SEED, phase=0, split="test"))
    return dataset_of(source.rules[-1], images, images), f"{count} {source.described}"


def score_by_length(
    model: nn.Module, loader: Batches, machine: Machine, dataset: Dataset, observer: Observer | None = None
) -> tuple[Score, tuple[LengthScore, ...]]:
    """The score on the test images of `dataset`, which the loader has, and of grids the same by every length of path
    that occurs."""
    if dataset.lengths is None:
        return evaluate(model, loader, machine, observer), ()
    counted: list[Tensor] = []

    def see(outputs: Tensor, targets: Tensor) -> None:
        counted.append(loader.task.counts_of_each(outputs, targets))

    score = evaluate(model, loader, machine, observer, see)
    counts, lengths = torch.cat(counted).cpu().numpy(), dataset.lengths(dataset.test)
    return score, tuple(
        LengthScore(length, length, int((lengths == length).sum()), *counts[lengths == length].sum(0).tolist())
        for length in np.unique(lengths).tolist()
    )


def binned(scores: Sequence[LengthScore], bins: int = BINS) -> tuple[LengthScore, ...]:
    """At most `bins` spans of lengths, each as wide as the others."""
    if not scores:
        return ()
    width = -(-scores[-1].longest // bins)
    spans: dict[int, list[LengthScore]] = {}
    for score in scores:
        spans.setdefault((score.shortest - 1) // width, []).append(score)
    names = [field.name for field in fields(LengthScore)][2:]
    return tuple(
        LengthScore(span[0].shortest, span[-1].longest, *(sum(getattr(part, name) for part in span) for name in names))
        for span in spans.values()
    )
