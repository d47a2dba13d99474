"""The slow reference computes what the soft network computes, forwards and backwards."""

import re

import pytest
import torch
from torch import nn

from foldnet.errors import SettingError
from foldnet.sharing.reference import MixingLayer, reference_of
from foldnet.sharing.share import share
from foldnet.training.machine import channels_last
from foldnet.zoo.blueprint import build


def gradients(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Logits of a batch in training; the gradients of its loss are left in the parameters."""
    logits = network.train()(x)
    torch.autograd.backward(nn.functional.cross_entropy(logits, y))
    return logits.detach()


def assert_same(found: torch.Tensor, expected: torch.Tensor, limit: float, name: str = "logits") -> None:
    """Equal in norm up to rounding (element by element a ReLU near zero may answer differently in fp32)."""
    difference = float((found - expected).norm() / expected.norm().clamp(min=1e-30))
    assert difference <= limit, (name, difference)


@pytest.mark.parametrize(
    ("arch", "dtype", "limit"),
    [
        *(("swrn-16-1-1", *exact) for exact in ((torch.float32, 1e-2), (torch.float64, 1e-10))),
        *(("swrn-28-1-4", *exact) for exact in ((torch.float32, 1e-2), (torch.float64, 1e-10))),
        ("sdensenetbc-16-4-2", torch.float64, 1e-8),
        ("sresnext-29-2x4-2", torch.float64, 1e-8),  # grouped convolutions
    ],
)
def test_outputs_statistics_and_gradients_are_those_of_the_soft_network(arch, dtype, limit):
    torch.manual_seed(0)
    soft = build(arch).to(dtype)
    reference = reference_of(soft)
    channels_last(soft)
    x, y = torch.randn(8, 3, 16, 16, dtype=dtype), torch.arange(8)
    fast = gradients(soft, x.contiguous(memory_format=torch.channels_last), y)
    assert_same(gradients(reference, x, y), fast, limit)
    for group in soft.plan.groups:
        bank = soft.sources[group.name]
        layers = [reference.get_submodule(name) for name in group.layers]
        assert all(layer.templates is layers[0].templates for layer in layers)
        assert_same(layers[0].templates.grad, bank.templates.grad.movedim(-1, 2), limit, f"{group.name} templates")
        found = torch.stack([layer.coefficients.grad for layer in layers])
        assert_same(found, bank.coefficients.grad, limit, f"{group.name} coefficients")
    own = dict(soft.network.named_parameters())
    assert own
    for name, parameter in own.items():
        assert_same(reference.get_parameter(name).grad, parameter.grad, limit, name)
    for name, buffer in soft.network.named_buffers():
        assert_same(reference.get_buffer(name).to(dtype), buffer.to(dtype), limit, name)


def test_it_has_as_many_weights_and_takes_none_over():
    soft = build("swrn-16-1-2")
    reference = reference_of(soft)
    assert sum(p.numel() for p in reference.parameters()) == sum(p.numel() for p in soft.parameters())
    storages = {parameter.untyped_storage().data_ptr() for parameter in soft.parameters()}
    assert not storages & {parameter.untyped_storage().data_ptr() for parameter in reference.parameters()}
    assert all(parameter.is_contiguous() for parameter in reference.parameters())


def test_a_layer_keeps_its_bias_stride_and_dilation():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2)
    templates = nn.Parameter(torch.randn(3, *layer.weight.shape))
    mixing = MixingLayer(layer, templates, torch.tensor([1.0, 0.0, -2.0]))
    x = torch.randn(2, 4, 9, 9)
    with torch.no_grad():
        expected = mixing(x)
        layer.weight.copy_(templates[0] - 2 * templates[2])
        torch.testing.assert_close(layer(x), expected)


def test_it_is_a_decoder_of_bytes():
    torch.manual_seed(0)
    soft, x = build("sgpt-3-16-2-2", size=8).double(), torch.randint(256, (2, 8))
    for model in (soft, reference := reference_of(soft)):
        torch.autograd.backward(nn.functional.cross_entropy(model(x).flatten(0, 1), x.flatten()))
    for group in soft.plan.groups:
        bank, layers = soft.sources[group.name], [reference.get_submodule(name) for name in group.layers]
        assert_same(layers[0].templates.grad, bank.templates.grad, 1e-8, f"{group.name} templates")
        found = torch.stack([layer.coefficients.grad for layer in layers])
        assert_same(found, bank.coefficients.grad, 1e-8, f"{group.name} coefficients")
    assert_same(reference.bytes.weight.grad, soft.network.bytes.weight.grad, 1e-8)


def test_what_it_does_not_know_is_refused():
    soft = build("swrn-16-1-1")
    soft.sources["stage1"] = nn.Identity()
    sentence = "group 'stage1' has no bank of templates; give the reference a soft network"
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        reference_of(soft)
    lines = nn.Sequential()
    lines.add_module("stage", nn.Sequential(nn.Conv1d(4, 4, 1), nn.Conv1d(4, 4, 1)))
    sentence = "layer 'stage.0' is neither linear nor a two-dimensional convolution; the reference knows no other"
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        reference_of(share(lines, 1))
