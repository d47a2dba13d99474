"""A view of a module runs with other tensors; all else it has in common with the module, which stays as it is."""

import weakref
from types import MethodType

import pytest
import torch
from torch import Tensor, nn

from foldnet.sharing.lend import lend, tensors_of, view


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
    lent = lend(module, {module.layer: {"weight": torch.eye(2)}}, {})
    lent(x)
    lent(x)
    assert (module.calls, module.last, module.number.item()) == (2, x, 2.0)
    assert module.summed.tolist() == [6.0, 6.0]


def test_a_buffer_that_is_lent_is_written_where_it_lies():
    module, stack = Counting(), torch.zeros(2)
    lent = lend(module, {module.layer: {"weight": torch.eye(2)}, module: {"number": stack[1]}}, {})
    lent(torch.ones(3, 2))
    assert stack.tolist() == [0.0, 1.0]
    assert module.number.item() == 0.0


def test_modes_hooks_and_options_are_live():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    lent = lend(module, {module[0]: {"weight": torch.eye(2), "bias": torch.zeros(2)}}, {})
    assert torch.equal(lent.eval()(torch.ones(1, 2)), torch.ones(1, 2))
    assert not module.training
    module[0].register_forward_hook(lambda module, args, output: output * 3)
    assert torch.equal(lent(torch.ones(1, 2)), torch.full((1, 2), 3.0))


def test_a_view_is_of_the_class_and_reads_like_it():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    lent = lend(module, {module[0]: {"weight": torch.ones(1, 1, 1, 1)}}, {})
    assert isinstance(lent[0], nn.Conv2d)
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

    def both(self, x: Tensor) -> Tensor:
        return self.by_name["first"](self.order[1][1](self.order[0](x)))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = vars(self).get("calls", 0) + 1
        return self.run(x)


def test_modules_in_plain_attributes_are_reached_with_what_is_lent():
    module, one, two, x = Hidden(), torch.randn(2, 2), torch.randn(2, 2), torch.randn(3, 2)
    lent = lend(module, {module.first: {"weight": one}, module.second: {"weight": two}}, {})
    torch.testing.assert_close(lent(x), x @ one.T @ two.T @ one.T)
    assert module.order[0] is module.first
    assert module.run.__self__ is module
    assert module.calls == 1


def test_a_forward_of_the_modules_own_runs_with_what_is_lent():
    module = nn.Sequential(nn.Linear(2, 2, bias=False))
    module.forward = MethodType(lambda self, x: -self[0](x), module)
    lent = lend(module, {module[0]: {"weight": torch.eye(2)}}, {})
    assert torch.equal(lent(torch.ones(1, 2)), -torch.ones(1, 2))
