"""Losses of networks of steps: which steps run, which of them learn, and how the parts are weighed."""

import re

import pytest
import torch

from foldnet.data.tasks import BITS, CELLS
from foldnet.errors import SettingError
from foldnet.sharing.share import materialise
from foldnet.training.machine import choose_machine
from foldnet.training.step_losses import StepLosses
from foldnet.zoo.blueprint import build

MACHINE = choose_machine("cpu", "fp32")


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 2, 6, 6, generator=generator)
    return x, torch.rand(4, 6, 6, generator=generator) < 0.3


@pytest.mark.parametrize("name", ["cnn-6-4", "scnn-6-4-2-recall"])
def test_progressive_is_the_weighed_sum_of_the_whole_and_of_a_part(name, batch):
    torch.manual_seed(0)
    model, (x, y) = build(name).eval(), batch
    outputs = model(x)
    for seed in range(8):
        torch.manual_seed(seed)
        found = StepLosses(model, CELLS, MACHINE, progressive=0.25)(outputs, y, x)
        torch.manual_seed(seed)
        start = int(torch.randint(6, ()))
        steps = int(torch.randint(1, 7 - start, ()))
        part = CELLS.loss(model(x, start=start, steps=steps), y)
        torch.testing.assert_close(found, 0.75 * CELLS.loss(outputs, y) + 0.25 * part)


def test_of_progressive_alone_the_part_stands_for_the_network(batch):
    torch.manual_seed(0)
    model, (x, _) = build("scnn-5-4-1").eval(), batch
    losses = StepLosses(model, CELLS, MACHINE, progressive=1)
    assert losses.run is not None
    torch.manual_seed(3)
    found = losses.run(x)
    torch.manual_seed(3)
    start = int(torch.randint(5, ()))
    steps = int(torch.randint(1, 6 - start, ()))
    torch.testing.assert_close(found, model(x, start=start, steps=steps))
    for further in ({"progressive": 0.5}, {"progressive": 1, "fixed_point": 0.1}, {"deep_supervision": 1}):
        assert StepLosses(model, CELLS, MACHINE, **further).run is None


def test_every_start_and_every_number_of_steps_occurs(batch):
    x, y = batch
    seen = set()

    class Watched(type(build("cnn-3-4"))):
        def forward(self, x, start=0, steps=None):
            seen.add((start, steps))
            return super().forward(x, start, steps)

    losses = StepLosses(Watched(3, 4, 2).eval(), CELLS, MACHINE, progressive=0.5)
    torch.manual_seed(0)
    for _ in range(200):
        losses(torch.zeros(4, 6, 6), y, x)
    assert seen == {(start, steps) for start in range(3) for steps in range(1, 4 - start)}


def test_with_a_reach_parts_go_past_the_last_step_which_runs_again():
    torch.manual_seed(0)
    model, x = build("cnn1d-3-4-recall").eval(), torch.rand(2, 1, 6)
    losses = StepLosses(model, BITS, MACHINE, progressive=1, progressive_reach=3)
    for share, farthest in ((0.0, 3), (0.25, 6), (0.5, 9), (0.9, 9)):
        losses.begin(share)
        drawn = set()
        model.forward = lambda x, start, steps, drawn=drawn: drawn.add((start, steps)) or torch.zeros(2, 6)
        for _ in range(400):
            losses.part(x)
        del model.forward
        assert drawn == {
            (start, steps) for start in range(farthest) for steps in range(1, min(3, farthest - start) + 1)
        }
    state = torch.cat([model.stem(x), x], 1)
    for step in (0, 1, 2, 2, 2, 2):
        state = model.body[step](state)
    torch.testing.assert_close(model(x, start=4, steps=2), model.head(state[:, :4])[:, 0])


def test_of_parts_a_growing_share_begins_in_the_state_of_another_example():
    torch.manual_seed(0)
    model, x = build("cnn1d-3-4-recall").eval(), torch.rand(4, 1, 6)
    losses = StepLosses(model, BITS, MACHINE, progressive=1, progressive_reach=2, mixed_starts=0.5)
    for share, wanted in ((0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 0.5)):
        losses.begin(share)
        drawn = []
        model.forward = lambda x, drawn=drawn, **asked: drawn.append(asked) or torch.zeros(4, 6)
        for _ in range(1000):
            losses.part(x)
        del model.forward
        mixed = [asked for asked in drawn if "mixed" in asked]
        assert len(mixed) / len(drawn) == pytest.approx(wanted, abs=0.05)
        assert all(asked.keys() == {"start", "mixed"} for asked in mixed)
        assert {asked["start"] for asked in mixed} == (set(range(losses.farthest)) if wanted else set())


@pytest.mark.parametrize(("name", "start"), [("cnn1d-3-4-recall", 5), ("scnn1d-3-4-2", 2), ("cnn-3-4-recall", 0)])
def test_a_mixed_start_runs_all_steps_from_the_state_of_the_one_before_in_the_batch(name, start):
    torch.manual_seed(0)
    flat = "1d" in name
    model, x = build(name).eval(), torch.rand(3, 1, 6) if flat else torch.rand(3, 2, 5, 5)
    network = materialise(model) if name.startswith("s") else model
    recalled = [x] if network.recall else []
    state = torch.cat([network.stem(x), *recalled], 1)
    for step in range(start):
        state = network.body[min(step, 2)](state)
    state = torch.cat([state[[2, 0, 1], :4], *recalled], 1)
    wanted = network.head(network.body(state)[:, :4])[:, 0]
    torch.testing.assert_close(model(x, start=start, mixed=True), wanted)
    stem = network.stem.weight
    (gradient,) = torch.autograd.grad(network(x, start=start, mixed=True).sum(), stem, allow_unused=True)
    assert (gradient is None) is (start > 0)


@pytest.mark.parametrize(("depth", "depths"), [(8, (2, 4, 6)), (2, (1,)), (1, (1,))])
def test_deep_supervision_asks_after_each_quarter(depth, depths):
    torch.manual_seed(0)
    model, x, y = build(f"cnn1d-{depth}-4").eval(), torch.rand(3, 1, 7), torch.rand(3, 7) < 0.5
    outputs = model(x)
    found = StepLosses(model, BITS, MACHINE, deep_supervision=0.25)(outputs, y, x)
    early = torch.stack([BITS.loss(model(x, start=0, steps=steps), y) for steps in depths]).mean()
    torch.testing.assert_close(found, 0.75 * BITS.loss(outputs, y) + 0.25 * early)


@pytest.mark.parametrize("name", ["cnn1d-3-4-recall", "scnn1d-3-4-1"])
def test_a_fixed_point_is_where_the_last_step_changes_nothing(name):
    torch.manual_seed(0)
    model, x, y = build(name).eval(), torch.rand(3, 1, 7), torch.rand(3, 7) < 0.5
    outputs, network = model(x), getattr(model, "network", model)
    states = []
    hook = network.body[2].register_forward_hook(lambda module, given, state: states.append((given[0], state)))
    model(x)
    hook.remove()
    (before, after), width = states[0], network.head.in_channels
    moved = (after - before)[:, :width].square().sum() / after[:, :width].square().sum()
    found = StepLosses(model, BITS, MACHINE, fixed_point=0.5)(outputs, y, x)
    torch.testing.assert_close(found, BITS.loss(outputs, y) + 0.5 * moved)


@pytest.mark.parametrize("name", ["progressive", "deep_supervision", "fixed_point"])
def test_networks_without_steps_are_refused(name):
    said = f"^{re.escape(f'`{name}=0.5` needs a network of steps, such as scnn-20-32-1; leave it out')}$"
    with pytest.raises(SettingError, match=said):
        StepLosses(build("wrn-10-1"), CELLS, MACHINE, **{name: 0.5})
