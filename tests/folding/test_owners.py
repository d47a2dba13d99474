"""What a folded group stores, against weights written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.analysis.choices import TIES
from foldnet.folding.owners import sum_in_double, tie_bank, tie_rows
from foldnet.sharing.share import Bank, gram
from foldnet.sharing.tied import Owners, TiedLayers

SHAPES = [(4, 3, 3, 3), (5, 2), (3, 4, 5)]


def tied_bank(seed, layers, templates, shape, clusters, how="gain"):
    torch.manual_seed(seed)
    bank = Bank(layers, templates, shape)
    with torch.no_grad():
        bank.coefficients.normal_()
    tie = tie_rows(bank.coefficients.detach().double().numpy(), gram(bank.templates).numpy(), clusters, how)
    return bank, tie, tie_bank(bank, tie)


@st.composite
def partitions(draw, layers):
    """Clusters of 0..layers-1."""
    owner = draw(st.lists(st.integers(0, layers - 1), min_size=layers, max_size=layers))
    return [[layer for layer in range(layers) if owner[layer] == o] for o in sorted(set(owner))]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.sampled_from(SHAPES), st.sampled_from(TIES), st.data())
def test_a_tied_bank_gives_gain_times_owner_and_stores_the_cheaper_form(seed, templates, shape, how, data):
    clusters = data.draw(partitions(6))
    bank, tie, tied = tied_bank(seed, 6, templates, shape, clusters, how)
    flat = bank.templates.detach().double().movedim(-1, 2).flatten(1).numpy()
    expected = tie.gains[:, None] * (tie.owners[tie.assignment] @ flat)
    weights = torch.stack(tied.layer_weights()).detach()
    assert weights.shape == (6, *shape)
    np.testing.assert_allclose(weights.flatten(1).numpy(), expected, atol=1e-5 * max(np.abs(expected).max(), 1))

    stored = [p for name, p in tied.named_parameters() if name.startswith(("stored.owners", "stored.templates"))]
    assert [tuple(p.shape) for p in stored] == [shape] * min(len(clusters), templates)
    numbers = sum(p.numel() for p in tied.parameters())
    mixing = len(clusters) * templates if templates < len(clusters) else 0
    assert numbers == min(len(clusters), templates) * int(np.prod(shape)) + mixing + 6


def test_owners_exist_once_however_many_layers_use_them():
    _, _, tied = tied_bank(0, 6, 6, (4, 3, 3, 3), [[0, 2, 4], [1, 3, 5]])
    first, second = tied.stored.owner_weights()
    assert first is tied.stored.owners[0]
    assert second is tied.stored.owners[1]
    assert tied.assignment == (0, 1, 0, 1, 0, 1)
    assert [name for name, _ in tied.named_parameters()] == ["gains", "stored.owners.0", "stored.owners.1"]


def test_an_untied_bank_gives_its_own_weights():
    bank, _, tied = tied_bank(0, 4, 4, (4, 3, 3, 3), [[0], [1], [2], [3]])
    torch.testing.assert_close(torch.stack(tied.layer_weights()), bank.weights(), atol=1e-6, rtol=1e-5)
    assert tied.gains.tolist() == [1, 1, 1, 1]


def test_owners_mixed_from_templates_are_channels_last():
    _, _, tied = tied_bank(0, 4, 2, (8, 4, 3, 3), [[0], [1], [2, 3]])
    assert tied.stored.owners is None
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in tied.stored.owner_weights())


def test_tying_leaves_the_bank_alone_and_shares_no_memory_with_it():
    bank, _, tied = tied_bank(0, 4, 2, (5, 2), [[0], [1], [2, 3]])
    before = bank.weights().detach().clone()
    with torch.no_grad():
        for parameter in tied.parameters():
            parameter.zero_()
    assert torch.equal(bank.weights(), before)


@pytest.mark.parametrize("templates", [2, 4])
def test_the_precision_is_that_of_the_bank(templates):
    torch.manual_seed(0)
    bank = Bank(4, templates, (5, 2)).double()
    tie = tie_rows(bank.coefficients.detach().numpy(), gram(bank.templates).numpy(), [[0], [1], [2, 3]])
    tied = tie_bank(bank, tie)
    assert {parameter.dtype for parameter in tied.parameters()} == {torch.float64}
    np.testing.assert_allclose(tied.gains.detach().numpy(), tie.gains, rtol=1e-15)


def test_gains_and_stored_weights_receive_gradients():
    for templates in (2, 4):
        _, _, tied = tied_bank(0, 4, templates, (5, 2), [[0], [1], [2, 3]])
        torch.stack(tied.layer_weights()).square().sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in tied.parameters())


def test_sums_run_in_float64():
    templates = torch.tensor([[[1e8]], [[1.0]], [[-1e8]]])
    total = sum_in_double(torch.ones(3, dtype=torch.float64), templates)
    assert total.dtype == torch.float64
    assert total.item() == 1.0


def test_the_parts_can_be_made_empty_and_filled():
    source = tied_bank(0, 4, 2, (5, 2), [[0], [1], [2, 3]])[2]
    with torch.device("meta"):
        empty = TiedLayers(Owners(3, 2, (5, 2)), source.assignment)
    empty.load_state_dict(source.state_dict(), assign=True)
    assert all(torch.equal(a, b) for a, b in zip(empty.layer_weights(), source.layer_weights(), strict=True))
