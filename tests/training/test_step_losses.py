"""The progressive loss: which steps run, which of them learn, and how it is weighed."""

import pytest
import torch

from foldnet.data.tasks import CELLS
from foldnet.errors import SettingError
from foldnet.training.learner import progressive_loss
from foldnet.training.machine import choose_machine
from foldnet.zoo.blueprint import build

MACHINE = choose_machine("cpu", "fp32")


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 2, 6, 6, generator=generator)
    return x, torch.rand(4, 6, 6, generator=generator) < 0.3


@pytest.mark.parametrize("name", ["cnn-6-4", "scnn-6-4-2-recall"])
def test_it_is_the_weighed_sum_of_the_whole_and_of_a_part(name, batch):
    torch.manual_seed(0)
    model, (x, y) = build(name).eval(), batch
    outputs = model(x)
    for seed in range(8):
        torch.manual_seed(seed)
        found = progressive_loss(model, CELLS, MACHINE, 0.25)(outputs, y, x)
        torch.manual_seed(seed)
        start = int(torch.randint(6, ()))
        steps = int(torch.randint(1, 7 - start, ()))
        part = CELLS.loss(model(x, start=start, steps=steps), y)
        torch.testing.assert_close(found, 0.75 * CELLS.loss(outputs, y) + 0.25 * part)


def test_every_start_and_every_number_of_steps_occurs(batch):
    x, y = batch
    seen = set()

    class Watched(type(build("cnn-3-4"))):
        def forward(self, x, start=0, steps=None):
            seen.add((start, steps))
            return super().forward(x, start, steps)

    model = Watched(3, 4, 2, recall=False).eval()
    loss = progressive_loss(model, CELLS, MACHINE, 0.5)
    torch.manual_seed(0)
    for _ in range(200):
        loss(torch.zeros(4, 6, 6), y, x)
    assert seen == {(start, steps) for start in range(3) for steps in range(1, 4 - start)}


def test_networks_without_steps_are_refused():
    said = r"^`progressive=0.5` needs a network of steps, such as scnn-20-32-1; leave it out$"
    with pytest.raises(SettingError, match=said):
        progressive_loss(build("wrn-10-1"), CELLS, MACHINE, 0.5)
