"""Numbers that a step may own, such as the rate of stochastic depth, keep no blocks apart and stay those of their steps."""

import copy

import pytest
import torch
from looping import fold_forms
from torch import nn
from torchvision.ops import StochasticDepth

from foldnet.folding.equality import own_numbers
from foldnet.sharing.share import share


class DropPath(nn.Module):
    """As that of timm: whole samples are dropped, in training alone."""

    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if not self.training or self.drop_prob == 0:
            return x
        kept = 1 - self.drop_prob
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(kept) / kept


class Body(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = drop

    def forward(self, x):
        return x + self.drop(torch.tanh(self.norm(self.conv(x))))


class Net(nn.Module):
    def __init__(self, drops):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Sequential(*map(Body, drops))

    def forward(self, x):
        return self.body(self.stem(x))


RATES = (0.0, 0.25, 0.5, 0.75)
KINDS = {
    "dropout": nn.Dropout,
    "dropout of maps": nn.Dropout2d,
    "stochastic depth": lambda p: StochasticDepth(p, "row"),
    "drop path": DropPath,
}


def folded(make):
    torch.manual_seed(0)
    return fold_forms(share(Net([make(rate) for rate in RATES]), 1))


def same(looped, tied, x):
    torch.manual_seed(1)
    expected = tied(x)
    torch.manual_seed(1)
    torch.testing.assert_close(looped(x), expected, rtol=1e-5, atol=1e-5)
    return expected


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_drops_at_its_own_rate(kind):
    looped, tied, plan = folded(KINDS[kind])
    assert [block.label for block in plan.program.stages[0].blocks] == ["A"] * 4
    assert plan.kept_apart == ()
    x = torch.randn(8, 3, 4, 4)
    trained = same(looped.train(), tied.train(), x)
    still = same(looped.eval(), tied.eval(), x)
    assert not torch.allclose(trained, still)
    with torch.no_grad():
        same(looped.train(), tied.train(), x)
        same(copy.deepcopy(looped), tied, x)
    assert own_numbers([block.drop for block in tied.network.body]) == {
        ("", next(iter(vars(tied.network.body[0].drop).keys() & {"p", "drop_prob"}))): RATES
    }


def test_compiled_bodies_drop_at_their_own_rates():
    looped, tied, _ = folded(DropPath)
    looped.compile_bodies(backend="eager")
    with torch.no_grad():
        same(looped.train(), tied.train(), torch.randn(8, 3, 4, 4))
    assert looped.network.body.blocks["A"].body.drop.drop_prob == 0.0


def test_trips_past_the_last_drop_as_the_last():
    looped, _, _ = folded(DropPath)
    looped.set_trips({"body.loop1": 6}, own_steps=True)
    block = looped.network.body.blocks["A"]
    assert own_numbers(list(block.parts))["drop", "drop_prob"] == (*RATES, 0.75, 0.75)


def test_a_number_of_a_module_that_holds_more_is_not_owned():
    one, other = Body(nn.Dropout(0.1)), Body(nn.Dropout(0.2))
    assert own_numbers([one, other]) == {("drop", "p"): (0.1, 0.2)}
    for block in (one, other):
        block.drop.register_buffer("mask", torch.ones(1))
    assert own_numbers([one, other]) == {}
