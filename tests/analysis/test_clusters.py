"""Clusters: what belongs together at a threshold."""

import re
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.analysis.clusters import check_clusters, cut, merge_path, partition
from foldnet.analysis.similarity import coefficient_similarity
from foldnet.errors import SettingError, ShapeMismatch, UnknownName

seeds = st.integers(0, 2**32 - 1)
CHESSBOARD = np.kron(np.ones((3, 3)), np.eye(2)) * 0.98 + 0.02 * np.eye(6)
LINKAGES = ["complete", "average", "single"]


def heights_of(similarity, linkage="complete"):
    """The similarities at which clusters merge."""
    return tuple(height for height, _ in merge_path(similarity, linkage))


def assert_partition(clusters, size):
    assert sorted(index for cluster in clusters for index in cluster) == list(range(size))
    assert list(clusters) == sorted(clusters)
    assert all(list(cluster) == sorted(cluster) and cluster for cluster in clusters)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_the_papers_chessboard_is_two_layers_thrice(linkage):
    assert cut(CHESSBOARD, 0.95, linkage) == ((0, 2, 4), (1, 3, 5))
    assert cut(CHESSBOARD, 0.99, linkage) == ((0,), (1,), (2,), (3,), (4,), (5,))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 12), st.integers(1, 6), st.floats(0, 1))
def test_with_complete_linkage_every_pair_is_at_or_above_the_threshold(seed, layers, templates, threshold):
    similarity = coefficient_similarity(np.random.default_rng(seed).standard_normal((layers, templates)))
    clusters = cut(similarity, threshold)
    assert_partition(clusters, layers)
    for cluster in clusters:
        assert similarity[np.ix_(cluster, cluster)].min() >= threshold - 1e-8


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6), st.sampled_from(LINKAGES))
def test_planted_proportional_rows_belong_together_at_threshold_1(seed, templates, linkage):
    rng = np.random.default_rng(seed)
    rows = rng.choice([-1, 1], (6, 1)) * 10.0 ** rng.uniform(-6, 6, (6, 1)) * rng.standard_normal(templates)
    other = rng.standard_normal((1, templates))
    clusters = cut(coefficient_similarity(np.vstack([rows[:3], other, rows[3:]])), 1.0, linkage)
    assert (0, 1, 2, 4, 5, 6) in clusters


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 10), st.sampled_from(LINKAGES))
def test_merges_say_where_clusters_appear(seed, layers, linkage):
    similarity = coefficient_similarity(np.random.default_rng(seed).standard_normal((layers, 3)))
    heights = heights_of(similarity, linkage)
    assert len(heights) == layers - 1
    assert list(heights) == sorted(heights, reverse=True)
    for merged, height in enumerate(heights, start=1):
        assert len(cut(similarity, height, linkage)) <= layers - merged
    if heights and heights[0] < 1 - 1e-6:
        assert len(cut(similarity, heights[0] + 1e-7, linkage)) == layers


def test_rounding_does_not_upset_the_clustering():
    crooked = CHESSBOARD + np.triu(np.full((6, 6), 3e-9), 1) + 1e-12
    assert cut(crooked, 0.95) == ((0, 2, 4), (1, 3, 5))
    assert cut(np.ones((3, 3)) * (1 + 1e-12), 1.0) == ((0, 1, 2),)


def test_the_smallest_groups():
    assert cut(np.ones((1, 1)), 0.5) == ((0,),)
    assert cut(np.ones((0, 0)), 0.5) == ()
    assert heights_of(np.ones((1, 1))) == ()
    assert cut(np.eye(3), 0.0) == ((0, 1, 2),)


def test_a_thousand_layers_in_a_second_or_so():
    rows = np.random.default_rng(0).standard_normal((1000, 64))
    start = perf_counter()
    assert_partition(cut(coefficient_similarity(rows), 0.4), 1000)
    assert perf_counter() - start < 4  # 0.1 s on an idle machine


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


def test_other_wrong_inputs_are_named():
    text = "^`linkage='ward'` is not legal; choose complete, average or single$"
    for cluster in (
        lambda: cut(CHESSBOARD, 0.9, "ward"),
        lambda: heights_of(CHESSBOARD, "ward"),
    ):
        with pytest.raises(SettingError, match=text):
            cluster()
    with pytest.raises(ShapeMismatch, match=r"^a similarity matrix has shape \(2, 3\); give one with as many "):
        cut(np.ones((2, 3)), 0.9)
    with pytest.raises(SettingError, match=r"^a similarity matrix holds values that are not numbers; did the "):
        cut(np.full((2, 2), np.nan), 0.9)
