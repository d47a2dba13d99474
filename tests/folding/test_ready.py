"""What a looped network keeps from call to call is used only while it is what a call would make."""

import copy

import pytest
import torch
from looping import X, fold_forms, make_forms
from torch import nn
from torch.func import functional_call

from foldnet.folding.looped import LoopedNetwork
from foldnet.sharing.share import share


@pytest.fixture(scope="module")
def form() -> LoopedNetwork:
    return make_forms()["looped"]


@pytest.fixture
def looped(form) -> LoopedNetwork:
    return copy.deepcopy(form)


def kept(looped: LoopedNetwork) -> object:
    """What the network keeps after a call without gradients."""
    with torch.no_grad():
        looped(X)
    return looped._ready


def fresh(looped: LoopedNetwork) -> torch.Tensor:
    """What a network with the same tensors gives that has kept nothing."""
    with torch.no_grad():
        return copy.deepcopy(looped)(X)


def test_one_lent_network_serves_many_calls(looped):
    first = kept(looped)
    assert first is not None
    assert kept(looped) is first
    with torch.inference_mode():
        looped(X)
    assert looped._ready is first
    assert "_ready" not in looped.state_dict()
    assert copy.deepcopy(looped)._ready is None


def test_with_gradients_nothing_is_kept(looped):
    looped(X).sum().backward()
    assert looped._ready is None


def test_mixed_owners_are_never_kept():
    mixed = make_forms()["mixed"]
    assert kept(mixed) is None


CHANGES = {
    "written in place": lambda p: p.mul_(1.5),
    "written past torch's notice": lambda p: p.data.mul_(1.5),
    "written by numpy": lambda p: p.detach().numpy().__imul__(1.5),
    "moved": lambda p: setattr(p, "data", p.data * 1.5),
}


@pytest.mark.parametrize(
    "place", ["owners.stage1.owners.0", "network.stage1.blocks.A.body.norm1.weight", "network.stem.weight"]
)
@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_tensor_is_seen(looped, place, how):
    before = fresh(looped)
    kept(looped)
    with torch.no_grad():
        CHANGES[how](looped.get_parameter(place))
        found = looped(X)
    assert torch.equal(found, fresh(looped))
    assert not torch.equal(found, before)


def test_a_gain_and_a_statistic_are_seen(looped):
    kept(looped)
    body = looped.network.stage2.blocks["A"].body
    with torch.no_grad():
        for tensor in (body.conv1.gain, body.norm2.running_var):
            before = looped(X)
            tensor[1] *= 3
            assert torch.equal(looped(X), fresh(looped))
            assert not torch.equal(looped(X), before)


def test_a_replaced_parameter_or_module_is_seen(looped):
    kept(looped)
    body = looped.network.stage1.blocks["A"].body
    body.norm1.weight = nn.Parameter(body.norm1.weight * 2)
    with torch.no_grad():
        assert torch.equal(looped(X), fresh(looped))
        looped.network.stage3.blocks["A"].body.norm2 = nn.Identity()
        assert torch.equal(looped(X), fresh(looped))
        looped.network.norm = nn.Identity()
        assert torch.equal(looped(X), fresh(looped))


class Scaled(nn.Module):
    only_calls_layers = True

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))

    def forward(self, x):
        return self.body(x) * self.scale + self.shift


def test_a_containers_own_tensors_are_seen():
    blocks = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3)))
    looped, tied, _ = fold_forms(share(nn.Sequential(nn.Linear(3, 4), Scaled(blocks)), 1))
    x, five = torch.randn(2, 3), torch.tensor(5.0)
    with torch.no_grad():
        looped(x)
        assert looped._ready is not None
        others = {"network.1.scale": five}
        torch.testing.assert_close(functional_call(looped, others, (x,)), functional_call(tied, others, (x,)))
        torch.testing.assert_close(looped(x), tied(x))
        for change in (
            lambda module: setattr(module, "scale", nn.Parameter(five)),
            lambda module: setattr(module, "shift", five),
            lambda module: module.load_state_dict({**module.state_dict(), "scale": -five}, assign=True),
        ):
            for network in (looped, tied):
                change(network.network.get_submodule("1"))
            torch.testing.assert_close(looped(x), tied(x))


def test_a_moved_or_loaded_network_is_seen(looped):
    kept(looped)
    with torch.no_grad():
        assert looped.double()(X.double()).dtype == torch.float64
        assert torch.equal(looped.float()(X), fresh(looped))
        looped.load_state_dict({name: tensor * 1 for name, tensor in looped.state_dict().items()}, assign=True)
        looped.owners["stage1"].owners[0].mul_(2)
        assert torch.equal(looped(X), fresh(looped))


def test_other_trips_are_seen(looped):
    kept(looped)
    for options in ({}, {"own_steps": True}, {"damped": True}):
        looped.set_trips({"stage1.loop1": 5}, **options)
        with torch.no_grad():
            assert torch.equal(looped(X), fresh(looped))
