"""The course of a training: which phase each epoch belongs to, and the data that a session has for it."""

import pytest
import torch

from foldnet.data.tasks import CELLS
from foldnet.training.machine import Machine
from foldnet.training.runs import Run
from foldnet.training.session import Course, Material, course_of, split_of
from foldnet.training.settings import train_settings
from foldnet.zoo.blueprint import blueprint


def course(epochs: int, phases: int, lengthened=()) -> Course:
    return Course(epochs, 0.1, 0, lengthened=lengthened, phases=phases)


@pytest.mark.parametrize(("epochs", "phases"), [(250, 5), (50, 5), (7, 3), (3, 3), (5, 1), (11, 4)])
def test_phases_share_the_epochs_out_in_order(epochs, phases):
    found = [course(epochs, phases).phase(epoch) for epoch in range(epochs)]
    assert found == sorted(found)
    assert set(found) == set(range(phases))
    assert max(map(found.count, found)) - min(map(found.count, found)) <= 1
    assert course(epochs, phases).restarts == tuple(found.index(phase) for phase in range(phases))


def test_a_training_that_was_lengthened_goes_by_both_lengths():
    lengthened = ((2, 4),)  # 2 of 4 epochs, then those of 8
    found = [course(8, 4, lengthened).phase(epoch) for epoch in range(8)]
    assert found == [0, 1, 1, 1, 2, 2, 3, 3]
    assert course(8, 4, lengthened).restarts == (0, 1, 4, 6)
    assert course(6, 2, ((2, 2),)).restarts == (0, 1, 2, 3)  # back to the first phase, whose best counts no more
    assert [course(6, 3, ((1, 1),)).phase(epoch) for epoch in range(6)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("validation", [0, 4])
def test_a_session_has_the_batches_of_every_phase(tmp_path, validation):
    asked = {"dataset": "paths", "grid": 8, "windows": (3, 5, 7), "examples": 20, "test_examples": 6}
    settings = train_settings(asked | {"epochs": 6, "batch_size": 8, "validation": validation, "arch": "cnn-2-4"})
    dataset, split = split_of(settings)
    run = Run(tmp_path, settings, blueprint("cnn-2-4", size=8), "fp32", split.hash)
    train, held = Material(run, dataset, split, Machine(torch.device("cpu"), "fp32")).batches()
    assert [course_of(run).phase(epoch) for epoch in (*range(6), 6)] == [0, 0, 1, 1, 2, 2, 2]
    assert (len(train), len(held)) == (3, 3 if validation else 0)
    for loader, phase in zip(train, split.phases, strict=True):
        assert (loader.images, loader.sizes(), loader.task) == (20, [8, 8, 4], CELLS)
        assert torch.equal(loader.labels, phase.train.labels)
    for loader, phase in zip(held, split.phases if validation else (), strict=True):
        assert torch.equal(loader.labels, phase.validation.labels)
