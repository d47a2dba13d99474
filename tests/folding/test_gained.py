"""A layer that uses an owner by a gain: the weight is scaled, or the input where that is smaller, and both give the same."""

import pytest
import torch
from torch import nn

from foldnet.folding.owners import only_calls_layers, use_owner
from foldnet.sharing.lend import view

LAYERS = {
    "conv": (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 3, 3)),
    "reflected": (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", groups=2), (1, 4, 3, 3)),
    "conv1d": (nn.Conv1d(8, 8, 3, bias=False), (1, 8, 4)),
    "linear": (nn.Linear(8, 5), (2, 8)),
}


def using(layer: nn.Module, owner: torch.Tensor, gain: float) -> nn.Module:
    seen = view(layer, {"weight": owner})
    use_owner(seen, torch.tensor(gain))
    return seen


class Products:
    """Counts the numbers in what is multiplied by a scalar."""

    def __init__(self, monkeypatch):
        self.sizes = []
        real = torch.Tensor.__mul__
        monkeypatch.setattr(
            torch.Tensor, "__mul__", lambda a, b: (self.sizes.append(max(a.numel(), b.numel())), real(a, b))[1]
        )


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_layer_with_the_scaled_weight(name):
    layer, shape = LAYERS[name]
    owner, x = torch.randn_like(layer.weight), torch.randn(shape)
    own = layer.weight
    with torch.no_grad():
        found = using(layer, owner, -1.7)(x)
        assert layer.weight is own
        layer.weight = nn.Parameter(-1.7 * owner)
        torch.testing.assert_close(found, layer(x), rtol=1e-5, atol=1e-6)
        layer.weight = own


def test_without_a_bias_the_output_is_scaled_where_it_lies(monkeypatch):
    layer, products = nn.Conv2d(4, 6, 3, bias=False), Products(monkeypatch)
    x = torch.randn(1, 4, 3, 3)
    before = x.clone()
    with torch.no_grad():
        found = using(layer, layer.weight, 2.0)(x)
    assert products.sizes == []
    torch.testing.assert_close(found, 2 * layer(x))
    assert torch.equal(x, before)


@pytest.mark.parametrize(("count", "scaled"), [(1, 4 * 9), (5, 6 * 4 * 9)])
def test_the_smaller_one_is_scaled(monkeypatch, count, scaled):
    layer, products = nn.Conv2d(4, 6, 3), Products(monkeypatch)
    with torch.no_grad():
        using(layer, layer.weight, 2.0)(torch.randn(count, 4, 3, 3) if count == 1 else torch.randn(count, 4, 9, 9))
    assert products.sizes == [scaled]


def test_under_autocast_the_weight_is_scaled_in_full_precision(monkeypatch):
    layer, products = nn.Linear(8, 8), Products(monkeypatch)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        using(layer, layer.weight, 2.0)(torch.randn(1, 8))
    assert products.sizes == [64]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_the_weight_is_scaled_so_that_nothing_overflows(dtype):
    layer = nn.Linear(8, 8, bias=False, dtype=dtype)
    with torch.no_grad():
        layer.weight.fill_(torch.finfo(dtype).max / 16)
        found = using(layer, layer.weight, 2.0**-8)(torch.full((1, 8), 16.0, dtype=dtype))
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found, (layer.weight * 2.0**-8 * 16.0).sum(1)[None])


def test_a_layer_that_does_more_with_its_weight_gets_it_scaled():
    class Standardised(nn.Linear):
        def forward(self, x):
            return nn.functional.linear(x, torch.tanh(self.weight), self.bias)

    layer, x = Standardised(8, 8), torch.randn(1, 8)
    with torch.no_grad():
        found = using(layer, layer.weight, 3.0)(x)
        torch.testing.assert_close(found, nn.functional.linear(x, torch.tanh(3 * layer.weight), layer.bias))


class Reads(nn.Module):
    only_calls_layers = True


class Inherits(Reads):
    pass


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.ModuleList([nn.ReLU()])), True),
        (nn.Sequential(Reads()), True),
        (nn.Sequential(Inherits()), False),  # its forward may be another one
        (nn.MultiheadAttention(4, 2), False),  # reads the weight of a layer
        (type("Own", (nn.Sequential,), {})(nn.ReLU()), False),
    ],
)
def test_only_classes_that_say_so_do_nothing_with_layers_but_call_them(network, expected):
    assert only_calls_layers(network) is expected


def test_a_forward_of_a_modules_own_is_not_known():
    network = nn.Sequential(nn.ReLU())
    network[0].forward = lambda x: x
    assert not only_calls_layers(network)
