"""A bank's weights against the paper's sum, written out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.sharing.share import Bank, gram, mix

SHAPES = [(4, 3, 3, 3), (5, 2), (3, 4, 5), (2, 3, 1, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_the_sum_over_templates(shape):
    torch.manual_seed(0)
    bank = Bank(6, 4, shape)
    weights = bank.weights()
    assert weights.shape == (6, *shape)
    for layer, weight in enumerate(bank.layer_weights()):
        slow = sum(bank.coefficients[layer, j] * bank.templates[j].movedim(-1, 1) for j in range(4))
        assert weight.shape == shape
        torch.testing.assert_close(weight, slow)
        torch.testing.assert_close(weights[layer], weight)


def test_weights_of_convolutions_come_out_channels_last_without_a_copy():
    bank = Bank(3, 2, (8, 4, 3, 3))
    weights = bank.layer_weights()
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1


def test_a_fresh_bank_mixes_weights_of_kaiming_size_from_orthonormal_coefficients():
    torch.manual_seed(0)
    bank = Bank(6, 4, (64, 64, 3, 3))
    torch.testing.assert_close(bank.coefficients.T @ bank.coefficients, torch.eye(4))
    assert bank.templates.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.01)
    assert abs(bank.templates.mean().item()) < 1e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7), st.integers(1, 5), st.sampled_from(SHAPES))
def test_mixing_is_linear_and_keeps_identity(seed, layers, templates, shape):
    torch.manual_seed(seed)
    stored = torch.randn(templates, shape[0], *shape[2:], shape[1])
    a, b = torch.randn(layers, templates), torch.randn(layers, templates)
    torch.testing.assert_close(mix(a, stored) + mix(b, stored), mix(a + b, stored), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mix(torch.eye(templates), stored), stored.movedim(-1, 2))


def test_the_gram_matrix_is_that_of_the_written_out_templates_in_float64():
    torch.manual_seed(0)
    templates = torch.randn(3, 5, 2, 2, 4)
    flat = templates.double().flatten(1).numpy()
    found = gram(templates)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.from_numpy(flat @ flat.T), rtol=1e-12, atol=1e-12)
    long = torch.randn(2, (1 << 18) + 17)
    torch.testing.assert_close(gram(long), long.double() @ long.double().T, rtol=1e-10, atol=1e-10)


def test_the_gram_matrix_gives_the_inner_products_of_weights():
    torch.manual_seed(0)
    bank = Bank(5, 3, (4, 3, 3, 3))
    rows = bank.coefficients.detach().double()
    weights = bank.weights().detach().double().flatten(1)
    torch.testing.assert_close(rows @ gram(bank.templates) @ rows.T, weights @ weights.T, rtol=1e-5, atol=1e-5)
    assert not gram(bank.templates).requires_grad


def test_a_bank_on_the_meta_device_allocates_nothing():
    with torch.device("meta"):
        bank = Bank(4, 2, (100_000, 100_000))
    assert bank.weights().shape == (4, 100_000, 100_000)
