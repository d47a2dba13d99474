"""Grids as a dataset, phase by phase."""

import re

import pytest
import torch

from foldnet.data.batches import Loader
from foldnet.data.curriculum import Curriculum, lengths_of, split_curriculum
from foldnet.data.rules import MazeRule, PathRule, draw_grids
from foldnet.data.tasks import CELLS
from foldnet.errors import SettingError

RULES = (PathRule(8, 3), PathRule(8, 5), PathRule(8, 7))


def loader(dataset, images, batch_size=8):
    return Loader(dataset, images, batch_size=batch_size, device=torch.device("cpu"))


def test_every_phase_has_grids_of_its_own_and_the_last_one_stands_for_all():
    dataset, split = split_curriculum(Curriculum(RULES, 20, 0.25, 6, seed=3))
    assert (dataset.name, dataset.channels, dataset.size, dataset.task) == ("paths", 2, 8, CELLS)
    assert len(split.phases) == 3
    for number, phase in enumerate(split.phases):
        assert (len(phase.train), len(phase.validation), len(phase.test)) == (20, 5, 6)
        for part, count, images in (
            ("train", 20, phase.train),
            ("validation", 5, phase.validation),
            ("test", 6, phase.test),
        ):
            drawn = draw_grids(count, RULES[number], seed=3, phase=number, split=part)
            assert (images.pixels.numpy() == drawn.inputs()).all()
            assert (images.labels.numpy() == drawn.target).all()
            assert (lengths_of(images) == drawn.lengths).all()
    assert split.train is split.phases[-1].train
    assert split.test is split.phases[-1].test


def test_the_hash_is_over_all_that_is_trained_and_chosen_on():
    def found(rules=RULES, examples=20, validation=0.25, tests=6, seed=3):
        return split_curriculum(Curriculum(rules, examples, validation, tests, seed))[1].hash

    others = [
        found(rules=RULES[::-1]),
        found(examples=21),
        found(validation=6),
        found(seed=4),
        found(rules=(*RULES[:2], PathRule(8, 7, target="one"))),
    ]
    assert len({found(), *others}) == 6
    assert found(tests=9) == found()


def test_nothing_is_held_out_where_nothing_is_asked_for():
    _, split = split_curriculum(Curriculum((MazeRule(5),), 10, 0, 4, seed=0))
    assert split.validation is None
    assert (split.train.pixels.numpy() == draw_grids(10, MazeRule(5)).inputs()).all()


@pytest.mark.parametrize("validation", [0.001, 1.5, 20.5])
def test_what_is_no_number_of_grids_is_refused(validation):
    said = (
        f"`validation={validation}` is neither a share of the 20 examples that comes to a grid or more, "
        f"nor a whole number of grids; give 0.1 or 500, or 0 for none"
    )
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        split_curriculum(Curriculum(RULES, 20, validation, 6, seed=0))


def test_batches_hold_maps_and_what_is_to_be_found():
    dataset, split = split_curriculum(Curriculum(RULES, 20, 0, 6, seed=0))
    x, y = next(loader(dataset, split.train).in_order())
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((8, 2, 8, 8), torch.float32, (8, 8, 8), torch.bool)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(x[:, 0].flatten(1).sum(1), torch.full((8,), 2.0))
