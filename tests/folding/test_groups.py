"""Families: what may be tied to what, how alike it is, and what is then tied position by position."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from looping import families_in, similarities_of
from torch import nn

from foldnet.analysis.clusters import cut
from foldnet.analysis.similarity import coefficient_similarity
from foldnet.errors import SettingError
from foldnet.folding.groups import Family, cut_families, groups_of
from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.share import SharedNetwork, share
from foldnet.zoo.blueprint import build

CHESSBOARD = np.kron(np.ones((3, 3)), np.eye(2)) * 0.98 + 0.02 * np.eye(6)


def blocks(count):
    """Blocks of two layers each, all in one group."""
    positions = tuple(("stage1", tuple(range(first, 2 * count, 2))) for first in (0, 1))
    return Family("stage1", positions)


def tied(family, matrices, threshold):
    """Clusters of the members at a threshold, one number or one a group, and of each group's layers."""
    levels = threshold if isinstance(threshold, dict) else dict.fromkeys(matrices, threshold)
    clusters = cut(family.similarity(matrices, [levels[group] for group, _ in family.positions]), 0.0)
    return clusters, family.tied(clusters, matrices)


def test_blocks_are_tied_position_by_position():
    clusters, layers = tied(blocks(3), {"stage1": CHESSBOARD}, 0.95)
    assert clusters == ((0, 1, 2),)
    assert layers == {"stage1": ((0, 2, 4), (1, 3, 5))}


def test_positions_are_never_mixed_even_where_all_layers_are_alike():
    assert tied(blocks(3), {"stage1": np.ones((6, 6))}, 0.95)[1] == {"stage1": ((0, 2, 4), (1, 3, 5))}


def test_the_worst_position_decides():
    similarity = CHESSBOARD.copy()
    similarity[1, 3] = similarity[3, 1] = similarity[1, 5] = similarity[5, 1] = 0.5
    clusters, layers = tied(blocks(3), {"stage1": similarity}, 0.95)
    assert clusters == ((0,), (1, 2))
    assert layers == {"stage1": ((0,), (1,), (2, 4), (3, 5))}
    assert cut(similarity, 0.95) == ((0, 2, 4), (1,), (3, 5))


def test_a_block_may_reach_into_two_groups_with_thresholds_of_their_own():
    family = Family("stage", (("a", (0, 1)), ("b", (0, 1))))
    matrices = {"a": np.array([[1, 0.9], [0.9, 1]]), "b": np.array([[1, 0.6], [0.6, 1]])}
    assert tied(family, matrices, {"a": 0.9, "b": 0.6})[0] == ((0, 1),)
    assert tied(family, matrices, {"a": 0.9, "b": 0.7})[0] == ((0,), (1,))
    assert tied(family, matrices, {"a": 0.95, "b": 0.0})[0] == ((0,), (1,))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0, 1))
def test_blocks_at_least_keep_the_threshold_of_every_tied_pair(seed, count, threshold):
    similarity = coefficient_similarity(np.random.default_rng(seed).standard_normal((2 * count, 2)))
    clusters, layers = tied(blocks(count), {"stage1": similarity}, threshold)
    for found, size in ((clusters, count), (layers["stage1"], 2 * count)):
        assert sorted(index for cluster in found for index in cluster) == list(range(size))
        assert list(found) == sorted(map(tuple, map(sorted, found)))
    for cluster in layers["stage1"]:
        assert similarity[np.ix_(cluster, cluster)].min() >= threshold - 1e-8


class Two(nn.Module):
    """A convolution and a linear layer, which never share with each other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(self.conv(x).movedim(1, -1)).movedim(-1, 1)


def four_blocks(*private: str) -> SharedNetwork:
    """Four equal blocks in a row, all layers sharing but these."""
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(*(Two() for _ in range(4))))
    return share(network, plan_sharing(network, keep=dict.fromkeys(private, "asked for")))


def test_blocks_are_seen_with_their_layers_and_only_where_all_their_groups_fold():
    soft = build("swrn-28-1-4")
    algebra = [entry for entry in groups_of(soft) if entry.group.name != "stage2"]
    assert families_in(soft, algebra, "block") == tuple(
        Family(name, ((name, (0, 2, 4)), (name, (1, 3, 5)))) for name in ("stage1", "stage3")
    )
    two = four_blocks()
    (family,) = families_in(two, groups_of(two), "block")
    assert sorted(family.positions) == [("body-4x4", (0, 1, 2, 3)), ("body-4x4x3x3", (0, 1, 2, 3))]
    assert families_in(two, groups_of(two)[:1], "block") == ()


def test_blocks_with_layers_in_other_groups_or_without_any_stay_alone():
    soft = four_blocks("body.0.mix", "body.3.conv", "body.3.mix")
    algebra = groups_of(soft)
    (family,) = families_in(soft, algebra, "block")
    assert sorted(family.positions) == [("body-4x4", (0, 1)), ("body-4x4x3x3", (1, 2))]
    thresholds = {"body-4x4": 0.0, "body-4x4x3x3": 0.0}
    found = cut_families([family], similarities_of(algebra), thresholds, "complete")
    assert found == {"body-4x4": ((0, 1),), "body-4x4x3x3": ((0,), (1, 2))}


@pytest.mark.parametrize(("unit", "alone"), [("layer", {2}), ("block", {2, 3})])
@pytest.mark.parametrize("threshold", [0.0, {"stage1": 1.0, "stage2": 0.0, "stage3": 1.0}])
def test_kept_layers_are_left_out_whatever_the_threshold(unit, alone, threshold):
    torch.manual_seed(0)
    soft, keep = build("swrn-28-1-4"), {"stage2.2.conv1"}
    thresholds = threshold if isinstance(threshold, dict) else dict.fromkeys(("stage1", "stage2", "stage3"), threshold)
    algebra = groups_of(soft)
    families = families_in(soft, algebra, unit, keep)
    found = cut_families(families, similarities_of(algebra), thresholds, "complete")["stage2"]
    assert {row for cluster in found if len(cluster) == 1 for row in cluster} == alone


@pytest.mark.parametrize("unit", ["blocks", ""])
def test_an_unknown_unit_is_refused(unit):
    soft = build("swrn-28-1-4")
    with pytest.raises(SettingError, match=f"^`unit='{unit}'` is not legal; choose layer or block"):
        families_in(soft, groups_of(soft), unit)
