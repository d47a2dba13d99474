"""Many matrices clustered at once give what each gives alone."""

import numpy as np
import pytest

from foldnet.analysis import clusters
from foldnet.analysis.choices import LINKAGES
from foldnet.analysis.clusters import cut, cut_draws, first_merges, merge_path
from foldnet.analysis.similarity import coefficient_similarity


def drawn(draws, layers, templates, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([coefficient_similarity(rng.standard_normal((layers, templates))) for _ in range(draws)])


def as_clusters(labels):
    return tuple(tuple(np.flatnonzero(labels == first).tolist()) for first in dict.fromkeys(labels.tolist()))


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("at_once", [32, 3])
@pytest.mark.parametrize("height", [0.3, 0.7, 0.95])
def test_each_is_cut_as_it_would_be_alone(linkage, at_once, height, monkeypatch):
    monkeypatch.setattr(clusters, "AT_ONCE", at_once)
    matrices = drawn(60, 7, 3)
    for labels, matrix in zip(cut_draws(matrices, height, linkage), matrices, strict=True):
        assert as_clusters(labels) == cut(matrix, height, linkage)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("at_once", [32, 3])
def test_what_is_measured_from_a_threshold_is_cut_at_0(linkage, at_once, monkeypatch):
    monkeypatch.setattr(clusters, "AT_ONCE", at_once)
    matrices = drawn(40, 6, 2)
    np.testing.assert_array_equal(cut_draws(matrices - 0.8, 0.0, linkage), cut_draws(matrices, 0.8, linkage))


@pytest.mark.parametrize("linkage", LINKAGES)
def test_the_first_merge_is_that_of_the_dendrogram(linkage):
    matrices = drawn(20, 6, 4)
    assert first_merges(matrices) == pytest.approx([merge_path(matrix, linkage)[0][0] for matrix in matrices])


def test_cutting_leaves_the_matrices_alone():
    matrices = drawn(3, 5, 2)
    before = matrices.copy()
    cut_draws(matrices, 0.1)
    np.testing.assert_array_equal(matrices, before)
