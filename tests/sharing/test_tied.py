"""Layers that use owners: how a weight is made of owner, gain and residual."""

import pytest
import torch
from torch import nn

from foldnet.converting.loops import as_soft
from foldnet.errors import SettingError, ShapeMismatch
from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.share import SharedNetwork
from foldnet.sharing.tied import Owners, TiedLayers, use

SHAPE = (4, 3, 3, 3)


def test_a_use_is_gain_times_owner_and_the_product_of_the_factors():
    owner, left, right = torch.randn(SHAPE), torch.randn(4, 2), torch.randn(2, 27)
    gain = torch.tensor(-0.5)
    assert torch.equal(use(owner, gain), -0.5 * owner)
    expected = -0.5 * owner + torch.einsum("or,rn->on", left, right).reshape(SHAPE)
    torch.testing.assert_close(use(owner, gain, left, right), expected)
    last = use(owner.contiguous(memory_format=torch.channels_last), gain, left, right)
    torch.testing.assert_close(last, expected)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_layers_of_owners_with_a_rank_keep_residuals_which_are_zero_at_first():
    tied = TiedLayers(Owners(3, None, SHAPE, (0, 2, 1)), (0, 1, 1, 2))
    assert tied.rows == (1, 2, 3)
    assert [tuple(one.shape) for one in tied.left] == [(4, 2), (4, 2), (4, 1)]
    assert [tuple(one.shape) for one in tied.right] == [(2, 27), (2, 27), (1, 27)]
    assert [len(usage) for usage in tied.usages()] == [1, 3, 3, 3]
    with torch.no_grad():
        for owner in tied.stored.owners:
            owner.normal_()
    for weight, owner in zip(tied.layer_weights(), (0, 1, 1, 2), strict=True):
        assert torch.equal(weight, tied.stored.owners[owner])
    names = {name for name, _ in TiedLayers(Owners(3, None, SHAPE), (0, 1, 1, 2)).named_parameters()}
    assert names == {"gains", "stored.owners.0", "stored.owners.1", "stored.owners.2"}


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ((1,), "the ranks of residuals are 1 and the owners 2; give one rank an owner"),
        ((0, 5), "a residual of a weight (4, 3, 3, 3) cannot have rank 5; give at most 4"),
    ],
)
def test_ranks_that_do_not_fit_are_refused(ranks, said):
    with pytest.raises(ShapeMismatch) as caught:
        Owners(2, None, SHAPE, ranks)
    assert str(caught.value) == said


def test_a_soft_network_cannot_stand_for_residuals():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    plan = plan_sharing(network)
    tied = SharedNetwork(network, plan, {plan.groups[0].name: TiedLayers(Owners(1, None, (4, 4), (1,)), (0, 0))})
    with pytest.raises(SettingError) as caught:
        as_soft(tied)
    said = f"layers of group '{plan.groups[0].name}' keep residuals, and a soft network has none"
    assert str(caught.value) == said
