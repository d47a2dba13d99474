"""Shares of the drop: what a fold wins when one tied layer alone gets its own weight back."""

import numpy as np
import pytest
import torch
from looping import planned

from foldnet.choosing.laboratory import added_loss_shares, restored
from foldnet.folding.groups import groups_of
from foldnet.folding.plan import apply_fold
from foldnet.sharing.share import materialise
from foldnet.zoo.blueprint import build

CLUSTERS = {"stage1": ((0, 2, 4), (1,), (3,), (5,)), "stage2": ((0, 1), (2,), (3,), (4,), (5,))}


@pytest.fixture
def folded():
    """A soft network with random coefficients, its algebra, and a fold that ties three layers and two."""
    torch.manual_seed(0)
    soft = build("swrn-28-1-4").eval()
    algebra = groups_of(soft)
    return soft, algebra, planned(soft, CLUSTERS)


def weights(network):
    """Every weight of the unrolled network."""
    return dict(materialise(network).named_parameters())


@pytest.mark.parametrize("row", [0, 2, 4])
def test_a_restored_layer_has_its_own_weight_and_the_others_what_they_had(folded, row):
    soft, algebra, plan = folded
    group = restored(plan.groups[0], row, algebra[0])
    assert group.clusters[-1] == (row,)
    assert sorted(sum(group.clusters, ())) == list(range(6))
    assert (group.owners, len(group.tie.owners)) == (5, 5)
    assert group.tie.gains[row] == 1.0
    assert group.tie.errors[row] == 0.0
    changed = weights(apply_fold(soft, type(plan)((group, *plan.groups[1:]), plan.program)))
    own, before = weights(soft), weights(apply_fold(soft, plan))
    name = f"{group.layers[row]}.weight"
    for layer in changed:
        torch.testing.assert_close(changed[layer], own[layer] if layer == name else before[layer])
    assert not torch.allclose(own[name], before[name], rtol=1e-3)


def test_restoring_leaves_the_fold_alone(folded):
    _, algebra, plan = folded
    tie = plan.groups[0].tie
    kept = [np.array(part) for part in (tie.owners, tie.gains, tie.assignment, tie.errors)]
    restored(plan.groups[0], 0, algebra[0])
    for before, now in zip(kept, (tie.owners, tie.gains, tie.assignment, tie.errors), strict=True):
        np.testing.assert_array_equal(before, now)


def losses(by_layer, whole):
    """A loss that knows which layer was restored: by the layer that is newly alone."""

    def loss(plan):
        for group in plan.groups:
            if len(group.clusters) != len(CLUSTERS.get(group.name, range(6))):
                return by_layer[group.layers[group.clusters[-1][0]]]
        return whole

    return loss


def test_shares_are_wins_over_their_sum(folded):
    _, algebra, plan = folded
    by_layer = {
        "stage1.1.conv1": 1.0,
        "stage1.2.conv1": 1.5,
        "stage1.3.conv1": 2.5,  # restoring makes it worse: no share
        "stage2.1.conv1": 1.5,
        "stage2.1.conv2": 2.0,
    }
    shares = added_loss_shares(plan, algebra, losses(by_layer, 2.0))
    assert shares == {
        "stage1.1.conv1": 0.5,
        "stage1.2.conv1": 0.25,
        "stage1.3.conv1": 0.0,
        "stage2.1.conv1": 0.25,
        "stage2.1.conv2": 0.0,
    }


def test_where_nothing_wins_all_shares_are_0(folded):
    _, algebra, plan = folded
    shares = added_loss_shares(plan, algebra, lambda _: 1.0)
    assert list(shares.values()) == [0.0] * 5


def test_without_ties_there_are_no_shares(folded):
    soft, algebra, _ = folded
    assert added_loss_shares(planned(soft, {}), algebra, lambda _: 1.0) == {}
