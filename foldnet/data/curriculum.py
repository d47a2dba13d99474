"""Grids as a dataset: phases of a curriculum, each with grids to train, to choose and to test on."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from foldnet.data.dataset import Dataset, Examples, Images, Split, images_of, unscaled
from foldnet.data.grids import Grids, distances, path_lengths
from foldnet.data.rules import Rule, draw_grids
from foldnet.data.stream import drawn_count
from foldnet.data.tasks import CELLS


@dataclass(frozen=True, slots=True)
class Curriculum:
    """A rule for each phase, and how many grids each has to train on and to test on; `validation` is a number of grids,
    or a share of `examples` below 1, drawn besides. Everything depends on `seed`.
    """

    rules: tuple[Rule, ...]
    examples: int
    validation: float
    test_examples: int
    seed: int


def split_curriculum(curriculum: Curriculum) -> tuple[Dataset, Split]:
    """The dataset and its split, which is that of the last phase and holds all. Raises SettingError."""
    held = drawn_count(curriculum.validation, curriculum.examples, "grid")
    phases = tuple(_phase(curriculum, number, held) for number in range(len(curriculum.rules)))
    hashes = "".join(phase.hash for phase in phases)
    last = replace(phases[-1], hash=hashlib.sha256(hashes.encode()).hexdigest(), phases=phases)
    return dataset_of(curriculum.rules[-1], last.train, last.test), last


def dataset_of(rule: Rule, train: Examples, test: Examples) -> Dataset:
    """Maps of queries and obstacles, taken as they are; of every cell is asked whether it lies on a path."""
    return unscaled(
        name=rule.name,
        classes=("path",),
        train=train,
        test=test,
        task=CELLS,
        lengths=lengths_of,
    )


def images_of_grids(grids: Grids) -> Images:
    """Inputs (n, 2, h, w) and the cells to be found (n, h, w)."""
    return images_of(torch.from_numpy(grids.inputs()), torch.from_numpy(grids.target))


def lengths_of(images: Examples) -> NDArray[np.int32]:
    """Steps of a shortest path in each of some grids, (n,)."""
    assert isinstance(images, Images)  # grids are drawn into memory
    maps = images.pixels.numpy()
    queries = np.argwhere(maps[:, 0])[:, 1:].reshape(-1, 2, 2)
    return path_lengths(distances(maps[:, 1] == 0, queries[:, 0], queries[:, 1]), queries[:, 1])


def _phase(curriculum: Curriculum, number: int, held: int) -> Split:
    """One phase."""
    rule = curriculum.rules[number]

    def draw(count: int, split: str) -> Images:
        return images_of_grids(draw_grids(count, rule, seed=curriculum.seed, phase=number, split=split))

    train, validation = draw(curriculum.examples, "train"), draw(held, "validation") if held else None
    parts = [train, validation] if validation is not None else [train]
    return Split(train, validation, draw(curriculum.test_examples, "test"), _hash(parts))


def _hash(parts: list[Images]) -> str:
    """SHA-256 over inputs and targets."""
    sha = hashlib.sha256()
    for part in parts:
        for tensor in (part.pixels, part.labels):
            sha.update(f"{tuple(tensor.shape)}".encode())
            sha.update(tensor.numpy().data)
    return sha.hexdigest()
