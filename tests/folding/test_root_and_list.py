"""A network that is a sequence itself, and lists of blocks that another's forward runs, loop as nn.Sequential does."""

import pytest
import torch
from looping import fold_forms
from torch import nn

from foldnet.errors import BrokenPromise
from foldnet.folding.looped import unroll
from foldnet.program.json import program_from_json
from foldnet.program.text import program_text
from foldnet.proof.prove import prove
from foldnet.sharing.share import materialise, share
from foldnet.store.codec import to_plain


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x, scale=1.0, *, shift=0.0):
        return x + scale * torch.tanh(self.norm(self.conv(x))) + shift


class Listing(nn.Module):
    """Runs a list of blocks in a way of its own, with further inputs."""

    def __init__(self, way):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.blocks = nn.ModuleList(Body() for _ in range(4))
        self.way = way

    def forward(self, x):
        return WAYS[self.way](self.blocks, self.stem(x))


def in_order(blocks, x):
    for block in blocks:
        x = block(x)
    return x


def with_inputs(blocks, x):
    for index, block in enumerate(blocks):
        x = block(x, 0.5 + index, shift=torch.ones(1) * index)
    return x


def by_index(blocks, x):
    for index in range(len(blocks)):
        x = blocks[index](x)
    return blocks[-1](x)


def backwards(blocks, x):
    for block in blocks[::-1]:
        x = block(x)
    return x


def side_by_side(blocks, x):
    return sum(block(x) for block in blocks)


WAYS = {function.__name__: function for function in (in_order, with_inputs, by_index, backwards, side_by_side)}


def softened(network, templates=1):
    torch.manual_seed(0)
    soft = share(network, templates)
    for module in soft.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean)
    return soft


def assert_same(looped, soft, fresh):
    x = torch.randn(4, 3, 5, 5)
    expected = soft.eval()(x)
    for network in (looped, materialise(soft), unroll(looped, fresh)):
        torch.testing.assert_close(network.eval()(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(looped.train()(x), soft.train()(x), rtol=1e-5, atol=1e-5)


def root():
    return nn.Sequential(nn.Conv2d(3, 4, 1), *(Body() for _ in range(4)), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_blocks_of_the_network_itself_become_a_loop():
    soft = softened(root())
    looped, _, plan = fold_forms(soft, inputs=torch.randn(2, 3, 5, 5))
    assert "network: private; 4x { A }; B; C" in program_text(plan.program).splitlines()
    assert [plan.program.stages[0].name, plan.program.stages[0].path] == ["network", ""]
    assert program_from_json(to_plain(plan.program)) == plan.program
    assert_same(looped, soft, root())
    looped.set_trips({"network.loop1": 5})
    assert len(looped.network.schedule) == 8
    assert set(looped.state_dict()) == set(fold_forms(soft)[0].state_dict())


def test_layers_of_the_network_itself_become_a_loop():
    def make():
        return nn.Sequential(
            nn.Conv2d(3, 4, 1), *[layer for _ in range(3) for layer in (nn.Conv2d(4, 4, 1), nn.Tanh())]
        )

    soft = softened(make())
    looped, _, plan = fold_forms(soft, inputs=torch.randn(2, 3, 5, 5))
    assert "network: private; 3x { A; B }" in program_text(plan.program).splitlines()
    assert_same(looped, soft, make())


@pytest.mark.parametrize("way", WAYS)
def test_a_list_of_blocks_computes_the_same_however_it_is_run(way):
    soft = softened(Listing(way))
    looped, _, plan = fold_forms(soft, inputs=torch.randn(2, 3, 5, 5))
    assert plan.program.loops == (way not in ("backwards", "side_by_side"))
    assert_same(looped, soft, Listing(way))


def test_a_list_runs_as_many_trips_as_are_set():
    x = torch.randn(2, 3, 5, 5)
    looped, _, _ = fold_forms(softened(Listing("in_order")), inputs=x)
    before = looped.eval()(x)
    looped.set_trips({"blocks.loop1": 2})
    assert len(looped.network.blocks) == 2
    assert not torch.allclose(looped(x), before)
    looped.set_trips({})
    torch.testing.assert_close(looped(x), before)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_list_of_which_no_block_runs_can_be_looked_at(compiled):
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)

        def forward(self, x):
            return self.encoder(x)  # which asks its first layer for what all of them are

    x = torch.randn(2, 5, 8)
    looped, _, _ = fold_forms(softened(Encoder()), inputs=x)
    looped.eval().set_trips({"encoder.layers.loop1": 0})
    assert len(looped.network.encoder.layers) == 0
    run = torch.compile(looped, backend="eager") if compiled else looped
    assert torch.equal(run(x), x)
    looped.set_trips({})
    assert not torch.equal(looped(x), x)


def test_a_list_is_proven_like_a_sequence():
    looped, tied, _plan = fold_forms(softened(Listing("in_order")))
    with torch.no_grad():
        looped.network.blocks.blocks["A"].body.norm.bias[2] += 1
    with pytest.raises(BrokenPromise, match=r"block 'blocks.2' is the first to differ"):
        prove(looped, tied, (torch.randn(2, 3, 5, 5),))
