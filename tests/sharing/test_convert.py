"""Trained weights to templates, against a singular value decomposition of the weights themselves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foldnet.errors import SettingError
from foldnet.sharing.convert import Spectrum, fill_bank, spectrum_of
from foldnet.sharing.share import SLICE, Bank, materialise, share
from foldnet.zoo.blueprint import build


def weights_of(count, shape, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(rank, *shape, generator=generator)
    return list(torch.einsum("lr,r...->l...", torch.randn(count, rank, generator=generator), base))


@given(st.integers(0, 2**31), st.integers(2, 6), st.data())
def test_a_bank_comes_as_close_as_any_can(seed, layers, data):
    rank, templates = data.draw(st.integers(1, layers)), data.draw(st.integers(1, layers))
    weights = weights_of(layers, (5, 4, 3, 3), rank, seed)
    bank = Bank(layers, templates, (5, 4, 3, 3))
    kept = fill_bank(bank, weights)
    rows = torch.stack(weights).flatten(1).double()
    u, s, v = torch.linalg.svd(rows, full_matrices=False)
    closest = (u[:, :templates] * s[:templates]) @ v[:templates]
    torch.testing.assert_close(bank.weights().flatten(1).double(), closest, rtol=0, atol=1e-5 * float(s[0]))
    assert kept == pytest.approx(float((s[:templates] ** 2).sum() / (s**2).sum()), abs=1e-9)
    assert kept == spectrum_of(weights).kept(templates)
    flat = bank.templates.movedim(-1, 2).flatten(1).double()
    products = flat @ flat.T
    assert (products - products.diagonal().diag()).abs().max() <= 1e-5 * products.max()
    assert flat.square().mean().sqrt().item() == pytest.approx(rows.square().mean().sqrt().item(), rel=1e-4)
    assert bool((bank.coefficients[:, min(rank, templates) :] == 0).all())


def test_layers_without_numbers_get_templates_to_learn_with():
    bank = Bank(3, 2, (2, 2))
    assert fill_bank(bank, [torch.zeros(2, 2)] * 3) == 1.0
    assert not bank.weights().any()
    torch.testing.assert_close(bank.templates.flatten(1) @ bank.templates.flatten(1).T, torch.eye(2))


@pytest.mark.parametrize("arch", ["wrn-22-1", "densenetbc-22-4", "resnext-29-2x4"])
def test_as_many_templates_as_layers_compute_the_same(arch):
    torch.manual_seed(0)
    network, x = build(arch).eval(), torch.randn(2, 3, 16, 16)
    soft = share(network, init="weights")
    expected = network(x)
    assert ((soft(x) - expected).norm() / expected.norm()).item() <= 1e-5
    assert ((materialise(soft)(x) - expected).norm() / expected.norm()).item() <= 1e-5


def test_a_bank_keeps_the_precision_and_place_of_the_weights():
    network = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3))).double()
    soft = share(network, init="weights")
    x = torch.randn(2, 4).double()
    torch.testing.assert_close(soft(x), network(x), rtol=1e-12, atol=1e-12)


def test_another_beginning_is_refused():
    with pytest.raises(SettingError, match=r"^`init='old'` is not legal; choose new or weights$"):
        share(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), init="old")


def test_sharing_copies_no_weight_that_it_replaces():
    network = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(8)))
    before = [layer.weight for layer in network]
    soft = share(network, 1)
    assert [layer.weight for layer in network] == before
    assert sum(parameter.numel() for parameter in soft.network.parameters()) == 0


class Made(TorchDispatchMode):
    """Knows the largest tensor that was made."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        sizes = [one.untyped_storage().nbytes() // one.itemsize for one in tree_leaves(out) if torch.is_tensor(one)]
        self.largest = max([self.largest, *sizes])
        return out


def test_weights_become_templates_without_a_copy_of_them_all():
    network = nn.Sequential(*(nn.Linear(2 * 512, SLICE // 512, bias=False) for _ in range(16)))
    with Made() as made:
        share(network, 1, init="weights")
    assert made.largest == 16 * SLICE  # of 32


def test_weights_of_no_worth_to_what_is_computed_get_templates_to_learn_with():
    bank = Bank(2, 2, (2, 2))
    assert fill_bank(bank, list(torch.randn(2, 2, 2)), Spectrum(torch.zeros(2).double(), torch.eye(2).double())) == 1.0
    assert not bank.weights().any()
    assert bank.templates.detach().any()


def test_a_template_to_learn_with_is_orthogonal_whatever_drew_the_weights():
    """The weights are what the generator of that template draws first."""
    weights, bank = weights_of(2, (5, 4, 3, 3), 1, seed=0), Bank(2, 2, (5, 4, 3, 3))
    fill_bank(bank, weights, seed=0)
    first, second = bank.templates.detach().flatten(1)
    assert abs(float(first @ second)) <= 1e-5 * float(first @ first)
    assert float(second.norm()) == pytest.approx(float(torch.stack(weights).flatten(1).norm() / 2**0.5), rel=1e-4)
