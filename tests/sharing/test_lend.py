"""A view of a module runs with other tensors; all else it has in common with the module, which stays as it is."""

import weakref
from collections import OrderedDict
from functools import partial
from types import MethodType

import pytest
import torch
from torch import Tensor, nn

from foldnet.errors import BrokenPromise
from foldnet.sharing import lend as lending
from foldnet.sharing.lend import nowhere, tensors_of, view


def lend(module, tensors, instead):
    """What runs in the place of a module."""
    return lending.lend(module, tensors, instead).module


def run(lent, put, *inputs):
    return next(lent.passes(put, inputs, {}))


class Counting(nn.Module):
    """Writes to itself while it runs: an attribute, a buffer in place, a buffer anew."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False)
        self.twin = self.layer
        self.calls = 0
        self.register_buffer("summed", torch.zeros(2))
        self.register_buffer("number", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x
        self.number = self.number + 1
        self.summed += x.sum(0)
        assert next(self.parameters()) is self.layer.weight
        return self.twin(self.layer(x))


def test_a_view_runs_with_what_is_lent_wherever_it_is_reached():
    module, x, weight = Counting(), torch.randn(3, 2), torch.randn(2, 2)
    own = module.layer.weight
    lent = lend(module, {module.layer: {"weight": weight}}, {})
    torch.testing.assert_close(lent(x), x @ weight.T @ weight.T)
    assert module.layer.weight is own
    assert lent.layer is lent.twin
    torch.testing.assert_close(module(x), x @ own.T @ own.T)


def test_what_a_pass_writes_to_itself_is_the_modules():
    module, x = Counting(), torch.ones(3, 2)
    for _ in range(2):
        run(lending.lend(module, {module.layer: {"weight": torch.eye(2)}}, {}), nowhere, x)
    assert (module.calls, module.last, module.number.item()) == (2, x, 2.0)
    assert module.summed.tolist() == [6.0, 6.0]


@pytest.mark.parametrize("keep", [True, False])
def test_a_buffer_that_is_lent_is_kept_by_who_lent_it_or_refused(keep):
    module, stack, kept = Counting(), torch.zeros(2), []
    lent = lending.lend(module, {module.layer: {"weight": torch.eye(2)}, module: {"number": stack[1]}}, {})

    def put(*entry):
        kept.append(entry)
        return keep

    if keep:
        run(lent, put, torch.ones(3, 2))
    else:
        said = (
            r"^a forward pass assigned 'number' of a Counting, which is made anew for every pass, so it would be lost; "
            r"keep that layer out of sharing$"
        )
        with pytest.raises(BrokenPromise, match=said):
            run(lent, put, torch.ones(3, 2))
    assert [(found, name, value.item()) for found, name, value in kept] == [(module, "number", 1.0)]
    assert (stack.tolist(), module.number.item()) == ([0.0, 0.0], 0.0)


def test_hooks_are_live():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval()
    lent = lend(module, {module[0]: {"weight": torch.eye(2), "bias": torch.zeros(2)}}, {})
    assert torch.equal(lent(torch.ones(1, 2)), torch.ones(1, 2))
    module[0].register_forward_hook(lambda module, args, output: output * 3)
    assert torch.equal(lent(torch.ones(1, 2)), torch.full((1, 2), 3.0))


def test_a_view_is_of_the_class_and_reads_like_it():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    lent = lend(module, {module[0]: {"weight": torch.ones(1, 1, 1, 1)}}, {})
    assert type(lent[0]) is nn.Conv2d
    assert repr(lent) == repr(module)
    assert lent[1] is module[1]
    assert list(lent.state_dict()) == list(module.state_dict())
    again = lend(lent, {lent[0]: {"weight": torch.zeros(1, 1, 1, 1)}}, {})
    assert type(again[0]) is type(lent[0])
    assert weakref.ref(lent)() is lent
    with pytest.raises(AttributeError, match=r"^'Sequential' object has no attribute 'missing'$"):
        lent.missing  # noqa: B018


def test_nothing_lent_is_the_module_itself():
    module = nn.Sequential(nn.ReLU())
    assert lend(module, {}, {}) is module


def test_a_module_may_stand_for_another():
    module, other = nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Identity()
    lent = lend(module, {}, {module[0]: other})
    assert lent[0] is other
    assert isinstance(module[0], nn.ReLU)


def test_a_submodule_compiled_by_itself_runs_with_what_is_lent():
    module = nn.Sequential(nn.Linear(2, 2, bias=False))
    module.compile(backend="eager")
    lent = lend(module, {module[0]: {"weight": torch.eye(2)}}, {})
    assert torch.equal(lent(torch.ones(1, 2)), torch.ones(1, 2))


def test_a_classs_own_way_of_finding_attributes_stays():
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def __getattr__(self, name: str) -> object:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

    module, weight = Wrapped(), torch.eye(2)
    lent = lend(module, {module.inner: {"weight": weight}}, {})
    assert lent.weight is weight
    assert lent.in_features == 2


def test_tensors_are_found_in_replicas_too():
    layer = nn.BatchNorm1d(2)
    assert list(tensors_of(layer)) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    replica = layer._replicate_for_data_parallel()
    replica.weight = replica._former_parameters = {"weight": layer.weight}
    assert "weight" in tensors_of(replica)
    other = torch.full((2,), 5.0)
    assert view(replica, {"weight": other}).weight is other


class Hidden(nn.Module):
    """Reaches its layers by a list, a dictionary and a method that is its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.order = [self.first, ("second", self.second)]
        self.by_name = {"first": self.first}
        self.run = self.both
        self.by_module = partial(self.both)
        self.acts = OrderedDict({self.first: 1, self.second: 2})
        self.seen = [self.first]

    def both(self, x: Tensor) -> Tensor:
        return self.by_name["first"](self.order[1][1](self.order[0](x)))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = vars(self).get("calls", 0) + 1
        self.used, self.order[1] = self.first, ("second", self.second)
        self.seen.append(self.acts[self.first])
        return self.run(x)


def test_modules_in_plain_attributes_are_reached_with_what_is_lent():
    module, one, two, x = Hidden(), torch.randn(2, 2), torch.randn(2, 2), torch.randn(3, 2)
    lent = lending.lend(module, {module.first: {"weight": one}, module.second: {"weight": two}}, {})
    expected = x @ one.T @ two.T @ one.T
    torch.testing.assert_close(lent.module.by_module(x), expected)
    torch.testing.assert_close(run(lent, nowhere, x), expected)
    assert module.order == [module.first, ("second", module.second)]
    assert module.used is module.first
    assert module.seen == [module.first, 1]
    assert module.run.__self__ is module
    assert module.calls == 1
    assert "by_module" in vars(module)
    assert module.by_module.func.__self__ is module


class Part(nn.Module):
    """Has no tensor; reaches the network in which it stands."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = [network]

    def forward(self, x: Tensor) -> Tensor:
        self.network[0].log.append(len(x))
        return self.network[0].layer(x) * self.network[0].factor


def test_a_part_reaches_the_network_in_which_it_stands():
    module = nn.Module()
    module.layer, module.part, module.log, module.factor = nn.Linear(2, 2, bias=False), Part(module), [], 2
    module.forward = lambda x: None
    lent = lending.lend(module, {module.layer: {"weight": 3 * torch.eye(2)}}, {})
    assert torch.equal(lent.module.part(torch.ones(1, 2)), torch.full((1, 2), 6.0))
    assert lent.module.part.network[0] is lent.module
    assert module.log == [1]


def test_a_forward_of_the_modules_own_runs_with_what_is_lent():
    module = nn.Sequential(nn.Linear(2, 2, bias=False))
    module.forward = MethodType(lambda self, x: -self[0](x), module)
    lent = lend(module, {module[0]: {"weight": torch.eye(2)}}, {})
    assert torch.equal(lent(torch.ones(1, 2)), -torch.ones(1, 2))
