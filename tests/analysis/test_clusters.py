"""Clusters of layers and of blocks: what belongs together at a threshold."""

import re
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.analysis.clusters import (
    BlockLayers,
    check_clusters,
    cluster_blocks,
    cluster_layers,
    merge_heights,
    partition,
)
from foldnet.analysis.similarity import coefficient_similarity
from foldnet.errors import SettingError, ShapeMismatch, UnknownName

seeds = st.integers(0, 2**32 - 1)
CHESSBOARD = np.kron(np.ones((3, 3)), np.eye(2)) * 0.98 + 0.02 * np.eye(6)
LINKAGES = ["complete", "average", "single"]


def assert_partition(clusters, size):
    assert sorted(index for cluster in clusters for index in cluster) == list(range(size))
    assert list(clusters) == sorted(clusters)
    assert all(list(cluster) == sorted(cluster) and cluster for cluster in clusters)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_the_papers_chessboard_is_two_layers_thrice(linkage):
    assert cluster_layers(CHESSBOARD, 0.95, linkage) == ((0, 2, 4), (1, 3, 5))
    assert cluster_layers(CHESSBOARD, 0.99, linkage) == ((0,), (1,), (2,), (3,), (4,), (5,))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 12), st.integers(1, 6), st.floats(0, 1))
def test_with_complete_linkage_every_pair_is_at_or_above_the_threshold(seed, layers, templates, threshold):
    similarity = coefficient_similarity(np.random.default_rng(seed).standard_normal((layers, templates)))
    clusters = cluster_layers(similarity, threshold)
    assert_partition(clusters, layers)
    for cluster in clusters:
        assert similarity[np.ix_(cluster, cluster)].min() >= threshold - 1e-8


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6), st.sampled_from(LINKAGES))
def test_planted_proportional_rows_belong_together_at_threshold_1(seed, templates, linkage):
    rng = np.random.default_rng(seed)
    rows = rng.choice([-1, 1], (6, 1)) * 10.0 ** rng.uniform(-6, 6, (6, 1)) * rng.standard_normal(templates)
    other = rng.standard_normal((1, templates))
    clusters = cluster_layers(coefficient_similarity(np.vstack([rows[:3], other, rows[3:]])), 1.0, linkage)
    assert (0, 1, 2, 4, 5, 6) in clusters


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 10), st.sampled_from(LINKAGES))
def test_merge_heights_say_where_clusters_appear(seed, layers, linkage):
    similarity = coefficient_similarity(np.random.default_rng(seed).standard_normal((layers, 3)))
    heights = merge_heights(similarity, linkage)
    assert len(heights) == layers - 1
    assert list(heights) == sorted(heights, reverse=True)
    for merged, height in enumerate(heights, start=1):
        assert len(cluster_layers(similarity, height, linkage)) <= layers - merged
    if heights and heights[0] < 1 - 1e-6:
        assert len(cluster_layers(similarity, heights[0] + 1e-7, linkage)) == layers


def test_rounding_does_not_upset_the_clustering():
    crooked = CHESSBOARD + np.triu(np.full((6, 6), 3e-9), 1) + 1e-12
    assert cluster_layers(crooked, 0.95) == ((0, 2, 4), (1, 3, 5))
    assert cluster_layers(np.ones((3, 3)) * (1 + 1e-12), 1.0) == ((0, 1, 2),)


def test_the_smallest_groups():
    assert cluster_layers(np.ones((1, 1)), 0.5) == ((0,),)
    assert cluster_layers(np.ones((0, 0)), 0.5) == ()
    assert merge_heights(np.ones((1, 1))) == ()
    assert cluster_layers(np.eye(3), 0.0) == ((0, 1, 2),)


def test_a_thousand_layers_in_a_second_or_so():
    rows = np.random.default_rng(0).standard_normal((1000, 64))
    start = perf_counter()
    assert_partition(cluster_layers(coefficient_similarity(rows), 0.4), 1000)
    assert perf_counter() - start < 4  # 0.1 s on an idle machine


def blocks_of(count, structure="stride 1", group="stage1"):
    return [BlockLayers(structure, ((group, 2 * i), (group, 2 * i + 1))) for i in range(count)]


def test_blocks_are_tied_position_by_position():
    clusters = cluster_blocks({"stage1": CHESSBOARD}, blocks_of(3), 0.95)
    assert clusters.blocks == ((0, 1, 2),)
    assert clusters.groups == {"stage1": ((0, 2, 4), (1, 3, 5))}


def test_positions_are_never_mixed_even_where_all_layers_are_alike():
    clusters = cluster_blocks({"stage1": np.ones((6, 6))}, blocks_of(3), 0.95)
    assert clusters.groups == {"stage1": ((0, 2, 4), (1, 3, 5))}


def test_the_worst_position_decides():
    similarity = CHESSBOARD.copy()
    similarity[1, 3] = similarity[3, 1] = similarity[1, 5] = similarity[5, 1] = 0.5
    clusters = cluster_blocks({"stage1": similarity}, blocks_of(3), 0.95)
    assert clusters.blocks == ((0,), (1, 2))
    assert clusters.groups == {"stage1": ((0,), (1,), (2, 4), (3, 5))}
    assert cluster_layers(similarity, 0.95) == ((0, 2, 4), (1,), (3, 5))


def test_blocks_of_another_structure_or_other_groups_stay_apart():
    first = BlockLayers("stride 2", (("stage1", 0), ("stage1", 1)))
    other = BlockLayers("stride 1", (("stage1", 4), ("widened", 0)))
    blocks = [first, *blocks_of(2)[1:], other]
    clusters = cluster_blocks({"stage1": np.ones((6, 6)), "widened": np.ones((2, 2))}, blocks, 0.5)
    assert clusters.blocks == ((0,), (1,), (2,))
    assert clusters.groups == {"stage1": ((0,), (1,), (2,), (3,), (4,), (5,)), "widened": ((0,), (1,))}


def test_a_block_may_reach_into_two_groups_with_thresholds_of_their_own():
    blocks = [BlockLayers("", (("a", i), ("b", i))) for i in range(2)]
    matrices = {"a": np.array([[1, 0.9], [0.9, 1]]), "b": np.array([[1, 0.6], [0.6, 1]])}
    assert cluster_blocks(matrices, blocks, {"a": 0.9, "b": 0.6}).blocks == ((0, 1),)
    assert cluster_blocks(matrices, blocks, {"a": 0.9, "b": 0.7}).blocks == ((0,), (1,))
    assert cluster_blocks(matrices, blocks, {"a": 0.95, "b": 0.0}).blocks == ((0,), (1,))


def test_blocks_without_shared_layers_stay_alone():
    assert cluster_blocks({}, [BlockLayers("", ()), BlockLayers("", ())], 0.5).blocks == ((0,), (1,))


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6), st.floats(0, 1))
def test_blocks_at_least_keep_the_threshold_of_every_tied_pair(seed, count, threshold):
    similarity = coefficient_similarity(np.random.default_rng(seed).standard_normal((2 * count, 2)))
    clusters = cluster_blocks({"stage1": similarity}, blocks_of(count), threshold)
    assert_partition(clusters.blocks, count)
    assert_partition(clusters.groups["stage1"], 2 * count)
    for cluster in clusters.groups["stage1"]:
        assert similarity[np.ix_(cluster, cluster)].min() >= threshold - 1e-8


LAYERS = ("stage2.1.conv1", "stage2.1.conv2", "stage2.2.conv1")


def test_clusters_by_name_leave_the_rest_alone():
    assert check_clusters([["stage2.2.conv1", "stage2.1.conv1"]], LAYERS, group="stage2") == ((0, 2), (1,))
    assert check_clusters([], LAYERS, group="stage2") == ((0,), (1,), (2,))
    assert check_clusters([[], ["stage2.1.conv2"]], LAYERS, group="stage2") == ((0,), (1,), (2,))
    assert partition([], 0) == ()


WRONG_CLUSTERS = [
    (
        [["stage2.1.conv1", "stage2.1.convl"]],
        UnknownName,
        "there is no layer 'stage2.1.convl' in the `clusters` file's group 'stage2'; did you mean "
        "'stage2.1.conv1' or 'stage2.1.conv2' or 'stage2.2.conv1'?",
    ),
    (
        [["head"]],
        UnknownName,
        "there is no layer 'head' in the `clusters` file's group 'stage2'; "
        "group 'stage2' holds stage2.1.conv1, stage2.1.conv2, stage2.2.conv1",
    ),
    (
        [[3]],
        UnknownName,
        "there is no layer 3 in the `clusters` file's group 'stage2'; "
        "group 'stage2' holds stage2.1.conv1, stage2.1.conv2, stage2.2.conv1",
    ),
    (
        [["stage2.1.conv1"], ["stage2.1.conv1"]],
        SettingError,
        "layer 'stage2.1.conv1' is named twice in the `clusters` file's group 'stage2'; name it once",
    ),
    (
        ["stage2.1.conv1"],
        SettingError,
        "the clusters of 'stage2' are not a list of lists of layer names; write them as "
        '[["layer", "layer"], ...] in the `clusters` file',
    ),
]


@pytest.mark.parametrize(("clusters", "error", "text"), WRONG_CLUSTERS)
def test_wrong_clusters_are_named(clusters, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        check_clusters(clusters, LAYERS, group="stage2")


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan")])
def test_illegal_thresholds_are_named(threshold):
    text = f"`threshold={threshold}` is not a similarity; give a number from 0 to 1"
    with pytest.raises(SettingError, match=f"^{re.escape(text)}$"):
        cluster_layers(CHESSBOARD, threshold)
    with pytest.raises(SettingError, match=f"^{re.escape(text)}$"):
        cluster_blocks({"stage1": CHESSBOARD}, blocks_of(3), {"stage1": threshold})


def test_other_wrong_inputs_are_named():
    text = "^`linkage='ward'` is unknown; give complete, average or single$"
    for cluster in (
        lambda: cluster_layers(CHESSBOARD, 0.9, "ward"),
        lambda: merge_heights(CHESSBOARD, "ward"),
    ):
        with pytest.raises(SettingError, match=text):
            cluster()
    with pytest.raises(ShapeMismatch, match=r"^a similarity matrix has shape \(2, 3\); give one with as many "):
        cluster_layers(np.ones((2, 3)), 0.9)
    with pytest.raises(SettingError, match=r"^a similarity matrix holds values that are not numbers; did the "):
        cluster_layers(np.full((2, 2), np.nan), 0.9)
    with pytest.raises(SettingError, match=r"^group 'stage1' has no threshold; add stage1 to `thresholds`$"):
        cluster_blocks({"stage1": CHESSBOARD}, blocks_of(3), {})
    with pytest.raises(UnknownName, match=r"^group 'stage1' has no similarity matrix; did you mean 'stage2'\?$"):
        cluster_blocks({"stage2": CHESSBOARD}, blocks_of(3), 0.9)
    with pytest.raises(SettingError, match=r"^layer 6 of group 'stage1' is outside its 6 layers$"):
        cluster_blocks({"stage1": CHESSBOARD}, blocks_of(4), 0.9)
    with pytest.raises(SettingError, match=r"^layer 0 of group 'stage1' is in two places; give every layer one "):
        cluster_blocks({"stage1": CHESSBOARD}, blocks_of(1) * 2, 0.9)
