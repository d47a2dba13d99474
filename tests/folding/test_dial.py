"""The depth dial turned on a network: other numbers of trips equal the blocks run by hand, and bodies compile once."""

import re

import pytest
import torch
from looping import fold_forms
from torch import nn

from foldnet.errors import SettingError, UnknownName
from foldnet.folding.looped import unroll
from foldnet.folding.stepped import SteppedBlock
from foldnet.sharing.share import share
from foldnet.zoo.blueprint import build


@pytest.fixture
def looped():
    """SWRN 28-1 whose stage 2 is private; 3x { A }, with norms that differ by step."""
    torch.manual_seed(0)
    soft = build("swrn-28-1-4").eval()
    with torch.no_grad():
        rows = soft.sources["stage2"].coefficients
        rows[2], rows[3], rows[4], rows[5] = -0.5 * rows[0], 2.0 * rows[1], 1.5 * rows[0], -3.0 * rows[1]
        for module in soft.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.running_mean.uniform_(-0.5, 0.5)
    return fold_forms(soft, 1.0)[0].eval()


X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


def by_hand(looped, order):
    """The logits when stage 2's unrolled blocks run in `order`."""
    network = unroll(looped, build("wrn-28-1")).eval()
    blocks = list(network.stage2)
    network.stage2 = nn.Sequential(*(blocks[index] for index in order))
    with torch.no_grad():
        return network(X)


@pytest.mark.parametrize("own_steps", [False, True])
@pytest.mark.parametrize(
    ("trips", "order"), [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (3, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 3, 3])]
)
def test_trips_equal_the_blocks_run_by_hand(looped, trips, order, own_steps):
    expected = by_hand(looped, order)
    looped.set_trips({"stage2.loop1": trips}, own_steps=own_steps)
    with torch.no_grad():
        torch.testing.assert_close(looped(X), expected, rtol=1e-5, atol=1e-5)


def test_turning_the_dial_makes_no_module_and_changes_no_tensor(looped):
    modules, before = len(list(looped.modules())), {k: v.clone() for k, v in looped.state_dict().items()}
    looped.set_trips({"stage2.loop1": 7})
    assert len(list(looped.modules())) == modules
    after = looped.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_steps_of_their_own_are_longer_stacks_of_copies(looped):
    names, modules = list(looped.state_dict()), len(list(looped.modules()))
    body = looped.network.stage2.blocks["A"].body
    looped.set_trips({"stage2.loop1": 5}, own_steps=True)
    assert (list(looped.state_dict()), len(list(looped.modules()))) == (names, modules)
    assert body.norm1.running_mean.shape == (5, 32)
    assert body.conv2.gain.shape == (5,)
    for step in (3, 4):
        assert torch.equal(body.norm2.weight[step], body.norm2.weight[2])
    assert looped.network.stage2.schedule == (("private1", 0), *(("A", step) for step in range(5)))


def test_own_steps_depend_on_the_trips_alone(looped):
    found = {name: tensor.clone() for name, tensor in looped.state_dict().items()}
    for trips in (5, 5, 2, 7, 5):
        looped.set_trips({"stage2.loop1": trips}, own_steps=True)
        assert looped.network.stage2.blocks["A"].body.norm1.weight.shape == (max(trips, 3), 32)
    with torch.no_grad():
        expected = looped(X)
        looped.set_trips({"stage2.loop1": 5}, own_steps=True)
        assert torch.equal(looped(X), expected)
    looped.set_trips({})
    looped.load_state_dict(found)
    assert all(torch.equal(tensor, found[name]) for name, tensor in looped.state_dict().items())


def test_own_steps_keep_what_they_learnt_while_the_trips_stay(looped):
    body = looped.network.stage2.blocks["A"].body
    looped.set_trips({"stage2.loop1": 4}, own_steps=True)
    with torch.no_grad():
        body.norm1.weight[3] = 7.0
    looped.set_trips({"stage2.loop1": 4}, own_steps=True)
    assert (body.norm1.weight[3] == 7.0).all()
    looped.set_trips({"stage2.loop1": 5}, own_steps=True)
    assert torch.equal(body.norm1.weight[3], body.norm1.weight[2])


def test_damping_scales_the_gains_of_the_layers_that_feed_the_residual_sum(looped):
    """The second convolution of a block is the one whose output is added."""
    gains = looped.network.stage2.blocks["A"].body.conv2.gain
    own = gains.detach().clone()
    for trips in (1, 2, 6):
        looped.set_trips({"stage2.loop1": trips})
        with torch.no_grad():
            gains.copy_(own * 3 / trips)
            expected = looped(X)
            gains.copy_(own)
            looped.set_trips({"stage2.loop1": trips}, damped=True)
            torch.testing.assert_close(looped(X), expected, rtol=1e-4, atol=1e-4)
    looped.set_trips({"stage2.loop1": 3}, damped=True)
    with torch.no_grad():
        damped = looped(X)
        looped.set_trips({})
        assert torch.equal(looped(X), damped)


class InPlace(nn.Module):
    """A block that adds to its input where that lies."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x += torch.tanh(self.layer(x))
        return x


def stack_of(blocks: list[nn.Module]) -> nn.Module:
    """A looped network of `blocks`, whose layers are all alike."""
    torch.manual_seed(0)
    soft = share(nn.Sequential(nn.Linear(3, 3), nn.Sequential(*blocks)), 1)
    return fold_forms(soft, 0.5)[0].eval()


def test_damping_works_on_blocks_that_write_into_their_input():
    looped, x = stack_of([InPlace() for _ in range(2)]), torch.randn(4, 3)
    with torch.no_grad():
        state = looped.network[0](x)
        owner = next(iter(looped.owners.values())).owner_weights()[0]
        (block,) = looped.network[1].blocks.values()
        for step in (0, 1, 1, 1):
            layer = block.body.layer
            state = state + 0.5 * torch.tanh(state @ (layer.gain[step] * owner).T + layer.bias[step])
        looped.set_trips({"1.loop1": 4}, damped=True)
        torch.testing.assert_close(looped(x), state)


def test_damping_is_refused_where_nothing_is_added():
    looped = stack_of([nn.Linear(3, 3) for _ in range(3)])
    said = (
        "`damped=True` scales what blocks add to their input, and loop '1.loop1' runs single layers, which add nothing to it; "
        "leave `damped` out"
    )
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        looped.set_trips({"1.loop1": 5}, damped=True)


def test_the_dial_turns_back(looped):
    with torch.no_grad():
        expected = looped(X)
        looped.set_trips({"stage2.loop1": 1})
        assert not torch.allclose(looped(X), expected)
        looped.set_trips({})
        assert torch.equal(looped(X), expected)


def test_an_unknown_loop_leaves_the_dial_alone(looped):
    schedule = looped.network.stage2.schedule
    with pytest.raises(UnknownName):
        looped.set_trips({"stage2.loop9": 2})
    assert looped.network.stage2.schedule == schedule


def test_a_body_compiles_once_however_many_steps_it_has(looped):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    with torch.no_grad():
        looped.set_trips({"stage2.loop1": 6})
        expected = looped(X)
        looped.compile_bodies(backend=backend)
        torch.testing.assert_close(looped(X), expected)
    bodies = sum(isinstance(module, SteppedBlock) for module in looped.modules())
    assert 1 <= len(graphs) <= bodies == 7  # equal bodies may share one
    compiled = len(graphs)
    with torch.no_grad():
        looped.set_trips({"stage2.loop1": 9})
        looped(X)
    assert len(graphs) == compiled
    torch._dynamo.reset()


def test_a_training_step_changes_the_owners_once(looped):
    looped.train()
    owners = list(looped.owners["stage2"].parameters())
    assert len(owners) == 2
    before = [owner.detach().clone() for owner in owners]
    optimiser = torch.optim.SGD(looped.parameters(), lr=0.1)
    nn.functional.cross_entropy(looped(X), torch.tensor([1, 2])).backward()
    optimiser.step()
    for owner, old in zip(owners, before, strict=True):
        torch.testing.assert_close(owner.detach(), old - 0.1 * owner.grad)
        assert owner.grad.abs().sum() > 0
