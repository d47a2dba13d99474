"""Ladders: dendrograms merge by merge, of layers and of whole blocks, with layers that are kept out of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from looping import families_in, similarities_of
from torch import nn

from foldnet.analysis.clusters import cut
from foldnet.choosing.sweep import ladders_of
from foldnet.folding.groups import cut_families, groups_of
from foldnet.sharing.share import SharedNetwork, share
from foldnet.zoo.blueprint import build

GROUPS = {"stage1", "stage2", "stage3"}


def soft_network(seed: int, arch: str = "swrn-28-1-3") -> SharedNetwork:
    """A soft network whose coefficients are random."""
    torch.manual_seed(seed)
    soft = build(arch)
    assert isinstance(soft, SharedNetwork)
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.normal_()
    return soft


def ladders(soft, unit="layer", linkage="complete", groups=GROUPS, keep=()):
    algebra = groups_of(soft)
    chosen = [entry for entry in algebra if entry.group.name in groups]
    return ladders_of(families_in(soft, chosen, unit, set(keep)), similarities_of(algebra), linkage)


def merges(before, after):
    """Whether `after` is `before` with two clusters made one."""
    gone, new = set(before) - set(after), set(after) - set(before)
    return len(gone) == 2 and len(new) == 1 and set().union(*gone) == set(next(iter(new)))


def apart(size):
    return tuple((row,) for row in range(size))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["complete", "average", "single"]))
def test_every_rung_of_layers_merges_two_clusters_of_the_one_before(seed, linkage):
    for ladder in ladders(soft_network(seed), linkage=linkage):
        present = apart(6)
        assert len(ladder.rungs) == 5
        for rung in ladder.rungs:
            assert rung.clusters.keys() == {ladder.name}
            assert merges(present, rung.clusters[ladder.name])
            present = rung.clusters[ladder.name]
        assert present == (tuple(range(6)),)
        heights = [rung.height for rung in ladder.rungs]
        assert heights == sorted(heights, reverse=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_a_rung_of_layers_is_the_cut_at_its_height(seed):
    soft = soft_network(seed)
    matrices = {entry.group.name: entry.similarity("coefficients") for entry in groups_of(soft)}
    for ladder in ladders(soft):
        for rung in ladder.rungs:
            assert rung.clusters[ladder.name] == cut(matrices[ladder.name], rung.height)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_a_rung_of_blocks_is_the_cut_at_its_height(seed):
    soft = soft_network(seed)
    algebra = groups_of(soft)
    for ladder in ladders(soft, "block"):
        assert len(ladder.rungs) == 2
        present = apart(6)
        for rung in ladder.rungs:
            heights = dict.fromkeys(GROUPS, rung.height)
            families = families_in(soft, algebra, "block")
            found = cut_families(families, similarities_of(algebra), heights, "complete")
            assert rung.clusters[ladder.name] == found[ladder.name]
            assert len(rung.clusters[ladder.name]) == len(present) - 2  # a merge at each of the two positions
            present = rung.clusters[ladder.name]
        assert present == ((0, 2, 4), (1, 3, 5))


@pytest.mark.parametrize(("unit", "alone"), [("layer", {2}), ("block", {2, 3})])
def test_kept_layers_stay_alone_and_so_do_their_blocks(unit, alone):
    found = {ladder.name: ladder for ladder in ladders(soft_network(0), unit, keep=["stage2.2.conv1"])}
    for rung in found["stage2"].rungs:
        assert alone <= {cluster[0] for cluster in rung.clusters["stage2"] if len(cluster) == 1}
    rest = {row for row in range(6) if row not in alone}
    last = found["stage2"].rungs[-1].clusters["stage2"]
    assert {row for cluster in last if len(cluster) > 1 for row in cluster} == rest
    assert len(found["stage1"].rungs[-1].clusters["stage1"]) == (1 if unit == "layer" else 2)


@pytest.mark.parametrize("unit", ["layer", "block"])
def test_only_the_groups_asked_for_have_ladders(unit):
    assert [ladder.name for ladder in ladders(soft_network(0), unit, groups=["stage3"])] == ["stage3"]


@pytest.mark.parametrize("unit", ["layer", "block"])
def test_where_all_but_one_are_kept_there_is_no_ladder(unit):
    keep = [f"stage1.{block}.conv{conv}" for block in (1, 2, 3) for conv in (1, 2)][1:]
    assert [ladder.name for ladder in ladders(soft_network(0), unit, keep=keep)] == ["stage2", "stage3"]


class Plain(nn.Module):
    """relu(conv(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


class Normed(Plain):
    """norm(relu(conv(x)))."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(super().forward(x))


def two_families() -> SharedNetwork:
    """Plain, normed, plain, normed, plain: two kinds of blocks that share one group."""
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(Plain(), Normed(), Plain(), Normed(), Plain()))
    return share(network, 5)


def test_two_families_of_a_stage_have_a_ladder_each_and_never_meet():
    torch.manual_seed(0)
    soft = two_families()
    found = ladders(soft, "block", groups=["body"])
    assert [ladder.name for ladder in found] == ["body", "body, family 2"]
    assert [len(ladder.rungs) for ladder in found] == [2, 1]
    assert found[0].rungs[-1].clusters == {"body": ((0, 2, 4), (1,), (3,))}
    assert found[1].rungs[-1].clusters == {"body": ((0,), (1, 3), (2,), (4,))}


def test_layers_know_no_families():
    soft = two_families()
    (ladder,) = ladders(soft, groups=["body"])
    assert np.all(np.diff([len(rung.clusters["body"]) for rung in ladder.rungs]) == -1)
    assert ladder.rungs[-1].clusters == {"body": ((0, 1, 2, 3, 4),)}
