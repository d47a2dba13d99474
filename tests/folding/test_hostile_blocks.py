"""Blocks that do more with their layers than call them: loops compute what the tied network does, in every mode, or are not made."""

import copy
import sys
import weakref
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from looping import fold_forms
from torch import nn

from foldnet.errors import BrokenPromise, SettingError
from foldnet.sharing.share import share

WIDTH, BLOCKS = 4, 4
X = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self, shared=None):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)

    def change(self, x):
        return torch.tanh(self.norm(self.conv(x)))

    def forward(self, x):
        return x + self.change(x)


class ReadsWeight(Block):
    def change(self, x):
        return torch.tanh(self.norm(F.conv2d(x, self.conv.weight)))


class ReadsParameters(Block):
    def change(self, x):
        return super().change(x) * sum(p.abs().mean() for p in self.parameters())


class ReadsState(Block):
    def change(self, x):
        return super().change(x) * self.state_dict()["conv.weight"].norm()


class DropsWeights(Block):
    def change(self, x):
        weight = F.dropout(self.conv.weight, 0.3) if self.training else self.conv.weight
        return torch.tanh(self.norm(F.conv2d(x, weight)))


class Attends(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def change(self, x):
        y = torch.nn.functional.layer_norm(x.flatten(2).mT, (WIDTH,))  # or weights as large as these would diverge
        return super().change(x) + self.attention(y, y, y, need_weights=False)[0].mT.reshape(x.shape)


class AsksForClasses(Block):
    def change(self, x):
        for module in self.children():
            x = module(x)
            if type(module) is nn.BatchNorm2d:
                x = torch.relu(x)
        return x


class KeyedByModules(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.acts = {self.norm: torch.relu}

    def change(self, x):
        for module in self.children():
            x = self.acts.get(module, lambda y: y)(module(x))
        return x


class PartialOfMethod(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(WIDTH, 1, 1))
        self.ops = OrderedDict(post=partial(self.scaled))

    def scaled(self, y):
        return self.gamma * y

    def change(self, x):
        return self.ops["post"](super().change(x))


class ClosesOver(Block):
    """Kept apart; each step reaches its own norm."""

    def __init__(self, shared=None):
        super().__init__()
        self.post = lambda y: self.norm(y)

    def change(self, x):
        return torch.tanh(self.post(self.conv(x)))


class Counts(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.calls, self.log = 0, []

    def change(self, x):
        self.calls += 1
        self.log.append(self.calls)
        return super().change(x) * len(self.log) / (self.calls + 1)


class CachesAttribute(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.mean = None

    def change(self, x):
        if self.mean is None:
            self.mean = x.mean().detach()
        return super().change(x - self.mean)


class ReplacesBuffer(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.register_buffer("number", torch.tensor(1.0))

    def change(self, x):
        y = super().change(x) * self.number
        self.number = self.number * 1.1
        return y


class FillsBuffer(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.register_buffer("mean", None)

    def change(self, x):
        self.mean = x.mean().detach() if self.mean is None else 0.9 * self.mean
        return super().change(x) - self.mean


class Sinks(Block):
    def __init__(self, shared):
        super().__init__()
        self.sink = shared.sink

    def forward(self, x):
        x = super().forward(x)
        self.sink.append(x.mean())
        return x * len(self.sink)


class Carries(Block):
    def __init__(self, shared):
        super().__init__()
        self.state = shared.state

    def change(self, x):
        y = super().change(x)
        self.state["h"] = y + self.state.get("h", 0.0)
        return self.state["h"]


class ReachesNetwork(Block):
    def __init__(self, shared):
        super().__init__()
        self.network = [shared]

    def change(self, x):
        return self.network[0].factor * super().change(x)


class ViewsStatistic(Block):
    """Where the memory of a norm's mean is seen otherwise."""

    def __init__(self, shared=None):
        super().__init__()
        self.mean = self.see(self.norm.running_mean.view(-1, 1, 1))

    def see(self, mean):
        return mean

    def change(self, x):
        return super().change(x) + self.mean


class HoldsStatistic(ViewsStatistic):
    def see(self, mean):
        self.held = Holder({"mean": mean})

    def change(self, x):
        return Block.change(self, x) + self.held.norms["mean"]


class RegistersTwice(ViewsStatistic):
    def see(self, mean):
        self.register_buffer("twin", mean[1:])
        return mean.clone()

    def change(self, x):
        return Block.change(self, x) + self.twin.sum()


class SeenByNetwork(Block):
    def __init__(self, shared):
        super().__init__()
        shared.means = [*getattr(shared, "means", []), self.norm.running_mean]


class MarksBuffer(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.register_buffer("factor", torch.ones(()))
        self.factor.power = 2.0

    def change(self, x):
        return super().change(x) * (3 * self.factor) ** getattr(self.factor, "power", 1.0)


class TrainsBuffer(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.register_buffer("factor", torch.ones((), requires_grad=True))

    def change(self, x):
        return super().change(x) * self.factor


class Permutes(Block):
    """Its first parameter is of whole numbers."""

    def __init__(self, shared=None):
        nn.Module.__init__(self)
        self.index = nn.Parameter(torch.arange(WIDTH).flip(0), requires_grad=False)
        self.conv, self.norm = nn.Conv2d(WIDTH, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH)

    def change(self, x):
        return super().change(x)[:, self.index]


class HasPhases(Block):
    """A buffer of complex numbers, as rotary embeddings have."""

    def __init__(self, shared=None):
        super().__init__()
        self.register_buffer("phases", torch.polar(torch.ones(WIDTH), torch.arange(WIDTH) / 3).view(-1, 1, 1))

    def change(self, x):
        return super().change(x) * self.phases.real


class Holder:
    def __init__(self, norms):
        self.norms = norms


class InObject(Block):
    """A view does not look into objects of classes like these."""

    def __init__(self, shared=None):
        super().__init__()
        self.held = Holder([self.norm])


class ThroughObject(InObject):
    def change(self, x):
        return torch.tanh(self.held.norms[0](self.conv(x)))


class CountsThroughObject(InObject):
    def change(self, x):
        return super().change(x) * self.held.norms[0].weight.numel()


class ThroughWeakReference(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.act = Child()
        self.act.parent = weakref.ref(self)

    def __deepcopy__(self, memo):
        copied = memo[id(self)] = object.__new__(type(self))
        vars(copied).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        copied.act.parent = weakref.ref(copied)
        return copied

    def change(self, x):
        return self.act(super().change(x))


class Child(nn.Module):
    def forward(self, x):
        return x * self.parent().norm.weight.shape[0]


class Network(nn.Module):
    def __init__(self, cls, listed=False):
        super().__init__()
        self.sink, self.state = [], {}
        self.factor = nn.Parameter(torch.tensor(1.5))
        self.stem = nn.Conv2d(3, WIDTH, 1)
        blocks = [cls(self) for _ in range(BLOCKS)]
        self.body = nn.ModuleList(blocks) if listed else nn.Sequential(*blocks)

    def forward(self, x):
        self.sink.clear()
        self.state.clear()
        x = self.body(self.stem(x)) + sum(self.sink)
        return x + sum(mean.sum() for mean in getattr(self, "means", []))


class ListNetwork(Network):
    """Looks at what is in its list."""

    def __init__(self, cls):
        super().__init__(cls, listed=True)
        for block in self.body:
            block.gate = 3.0

    def forward(self, x):
        x = self.stem(x)
        assert isinstance(self.body, nn.ModuleList)
        for block, twin in zip(self.body, reversed(self.body), strict=True):
            x = x + getattr(block, "gate", 1.0) * block(x) if isinstance(block, Block) else block(x)
            x = x + twin.norm.bias.view(-1, 1, 1)
        return self.body[-1](self.body[1:][0](x))


class Encoder(nn.Module):
    def __init__(self, _=None):
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 1)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, BLOCKS, enable_nested_tensor=False)

    def forward(self, x):
        return self.encoder(self.embed(x).flatten(2).mT)


def make(cls):
    """A soft network whose layers are alike but for sign and length, folded, and its tied form."""
    torch.manual_seed(0)
    soft = share(cls() if cls is Encoder else ListNetwork(Block) if cls is ListNetwork else Network(cls), 1)
    with torch.no_grad():
        for source in soft.sources.values():
            rows = torch.linspace(0.5, 1.5, len(source.coefficients))[:, None]
            source.coefficients.copy_(rows * torch.where(torch.arange(len(rows)) % 3 == 1, -1.0, 1.0)[:, None])
        for module in soft.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.running_mean.normal_()
    return soft


def assert_same(looped, tied, *, training=True):
    """Without and with gradients, in both modes, through steps of training; what passes leave behind shows in later ones."""
    optimisers = [torch.optim.SGD(network.parameters(), 0.01) for network in (looped, tied)]
    for mode in (False, None, *((True, True) if training else ()), False):
        outputs = []
        for network, optimiser in zip((looped, tied), optimisers, strict=True):
            torch.manual_seed(1)
            with torch.set_grad_enabled(mode is not False):
                outputs.append(network.train(mode is True)(X))
            if mode:
                optimiser.zero_grad()
                outputs[-1].square().mean().backward()
                optimiser.step()
        found, expected = outputs
        assert (found - expected).norm() <= 1e-5 * expected.norm()


MERGED = [
    ReadsWeight, ReadsParameters, ReadsState, DropsWeights, Attends, AsksForClasses, KeyedByModules, PartialOfMethod, Counts,
    CachesAttribute, ReplacesBuffer, TrainsBuffer, Permutes, HasPhases, Sinks, Carries, ListNetwork, Encoder,
]  # fmt: skip
APART = {
    ClosesOver: "a module that is reached in another way than as a submodule",
    FillsBuffer: "a buffer that a pass may fill cannot be stacked before it is",
    ReachesNetwork: "a module that is reached in another way than as a submodule",
    InObject: "a module that is reached in another way than as a submodule",
    MarksBuffer: "a tensor with an attribute of its own, 'power', cannot be stacked",
}
ALIASES = [ViewsStatistic, HoldsStatistic, RegistersTwice, SeenByNetwork]


@pytest.mark.parametrize("cls", MERGED, ids=lambda cls: cls.__name__)
def test_a_loop_computes_what_the_blocks_did(cls):
    looped, tied, plan = fold_forms(make(cls), 0.99, inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A"] * BLOCKS
    assert_same(looped, tied)


@pytest.mark.parametrize("cls", APART, ids=lambda cls: cls.__name__)
def test_blocks_that_no_loop_can_be_are_kept_apart_and_still_compute_the_same(cls):
    looped, tied, plan = fold_forms(make(cls), 0.99)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A", "B", "C", "D"]
    assert {found.reason.rpartition(": ")[2] for found in plan.kept_apart} == {APART[cls]}
    assert_same(looped, tied)


@pytest.mark.parametrize("cls", ALIASES, ids=lambda cls: cls.__name__)
def test_a_tensor_whose_memory_is_seen_otherwise_stays_where_it_is(cls):
    looped, tied, plan = fold_forms(make(cls), 0.99, inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A", "B", "C", "D"]
    assert plan.kept_apart[0].attribute == ("twin" if cls is RegistersTwice else "norm.running_mean")
    assert plan.kept_apart[0].reason == "its memory is reached in another way too"
    assert_same(looped, tied)


def test_parameters_beside_each_other_in_one_memory_may_loop():
    soft = make(Block)
    torch.nn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector(soft.parameters()), soft.parameters())
    for parameter in soft.parameters():
        torch._dynamo.mark_static_address(parameter)  # as torch.compile does
    looped, tied, plan = fold_forms(soft, 0.99, inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A"] * BLOCKS
    assert_same(looped, tied)


@pytest.mark.parametrize("cls", [ThroughObject, CountsThroughObject, ThroughWeakReference])
def test_a_layer_that_is_reached_where_no_view_looks_is_never_silently_another(cls):
    said = (
        "a block that loops reaches a layer through an object in which foldnet does not look, such as one of a class "
        "of your own or a weak reference; hold layers as submodules, or in lists and dictionaries"
    )
    with pytest.raises(BrokenPromise, match=f"^{said}$"):
        fold_forms(make(cls), 0.99, inputs=X)
    looped, _, _ = fold_forms(make(cls), 0.99)
    for network in (looped, copy.deepcopy(looped)):
        with pytest.raises(BrokenPromise, match=f"^{said}$"):
            network.eval()(X)


def test_buffers_that_are_trained_have_gradients_in_loops():
    looped, tied, _ = fold_forms(make(TrainsBuffer), 0.99)
    for network in (looped, tied):
        network(X).square().sum().backward()
    expected = torch.stack([block.factor.grad for block in tied.network.body])
    torch.testing.assert_close(looped.network.body.blocks["A"].body.factor.grad, expected)


def test_a_network_without_numbers_is_not_folded():
    with torch.device("meta"):
        soft = share(Network(Block), 1)
    said = 'the network is on the device "meta", where tensors have no numbers; load some first'
    with pytest.raises(SettingError, match=f"^{said}$"):
        fold_forms(soft)


def test_rates_that_steps_own_are_set_by_the_modules_that_one_sees():
    class Drops(Block):
        def __init__(self, shared):
            super().__init__()
            shared.rate = getattr(shared, "rate", 0.0) + 0.1
            self.drop = nn.Dropout(shared.rate)

        def change(self, x):
            return self.drop(super().change(x))

    looped, tied, plan = fold_forms(make(Drops), 0.99, inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A"] * BLOCKS
    assert_same(looped, tied)
    for network in (looped, tied):
        for module in network.train().modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    torch.testing.assert_close(looped(X), tied(X), rtol=1e-5, atol=1e-5)


class Fires(nn.Module):
    """A neuron with a state."""

    def __init__(self):
        super().__init__()
        self.reset()

    def reset(self):
        self.state = None

    def forward(self, x):
        self.state = x if self.state is None else 0.5 * self.state + x
        return (self.state > 0.5).float()


class Spikes(Block):
    def __init__(self, shared=None):
        super().__init__()
        self.act = Fires()

    def change(self, x):
        return self.act(self.norm(self.conv(x)))


def test_a_state_that_is_reset_in_the_modules_that_one_sees_is_reset_in_every_step():
    looped, tied, plan = fold_forms(make(Spikes), 0.99, inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A"] * BLOCKS
    for network in (looped.eval(), tied.eval()):
        for factor in (1, 2):
            network(factor * X)
        for module in network.modules():
            if hasattr(module, "reset"):
                module.reset()
    for _ in range(2):
        torch.testing.assert_close(looped(X), tied(X))


def test_what_steps_leave_behind_is_in_their_parts_and_the_last_ones_in_the_module_that_one_sees():
    class LeavesLoss(Block):
        def change(self, x):
            self.loss = x.square().mean()
            return super().change(x)

    looped, tied, _ = fold_forms(make(LeavesLoss), 0.99)
    for network in (looped.eval(), tied.eval()):
        network(X)
    found, expected = looped.network.body.blocks["A"], [block.loss for block in tied.network.body]
    torch.testing.assert_close([part.loss for part in found.parts], expected)
    torch.testing.assert_close(found.body.loss, expected[-1])


class Breaks(Block):
    def change(self, x):
        y = self.norm(self.conv(x))
        torch._dynamo.graph_break()
        return torch.tanh(y)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's compiler looks at it
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("form", ["looped", "tied"])
def test_threads_are_right_where_the_graphs_of_compiled_code_break(whole, form):
    torch._dynamo.reset()
    looped, tied, _ = fold_forms(make(Breaks), 0.99)
    model = (looped if form == "looped" else tied).eval()
    inputs = [X * (number + 1) for number in range(8)]
    expected = [model(x).detach() for x in inputs]
    if whole:
        compiled = torch.compile(model, backend="eager")
    else:
        compiled = model
        if form == "looped":
            model.compile_bodies(backend="eager")
    torch.testing.assert_close(compiled(X), expected[0])
    pause = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n: [compiled(inputs[n]).detach() for _ in range(5)], range(8)))
    finally:
        sys.setswitchinterval(pause)
    for outputs, wanted in zip(found, expected, strict=True):
        for one in outputs:
            torch.testing.assert_close(one, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(compiled(X), expected[0])
    torch._dynamo.reset()


class AsksNetwork(Network):
    """Looks at what its blocks stand in."""

    def forward(self, x):
        x = self.body(self.stem(x))
        return x if isinstance(self.body, nn.Sequential) and getattr(self.body, "temperature", 1.0) == 2.0 else -x


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("cls", [ReplacesBuffer, Counts, AsksNetwork], ids=lambda cls: cls.__name__)
def test_a_compiled_network_computes_what_it_does_uncompiled(cls):
    torch._dynamo.reset()
    soft = make(cls) if cls is not AsksNetwork else share(AsksNetwork(Block), 1)
    soft.network.body.temperature = 2.0
    looped, tied, _ = fold_forms(soft, 0.99)
    expected = tied.eval()
    compiled = torch.compile(looped.eval(), backend="eager")
    for grads in (False, True, False):
        with torch.set_grad_enabled(grads):
            torch.testing.assert_close(compiled(X), expected(X), rtol=1e-5, atol=1e-5)
    torch._dynamo.reset()
