"""The closest matrix of a rank, against a whole singular value decomposition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.sharing.low_rank import a_rank_takes, closest

SHAPES = [(3, 8), (8, 3), (5, 5), (6, 2, 3, 3), (30, 2, 3), (4, 1, 3, 3)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(SHAPES), st.integers(1, 9))
def test_it_is_the_truncated_decomposition_and_its_factors_are_of_one_length(seed, shape, rank):
    torch.manual_seed(seed)
    weight = torch.randn(shape, dtype=torch.float64)
    rows = weight.flatten(1)
    rank = min(rank, *rows.shape)
    left, right = closest(weight, rank)
    assert left.dtype == right.dtype == torch.float64
    assert left.shape == (shape[0], rank)
    assert right.shape == (rank, rows.shape[1])
    assert left.numel() + right.numel() == rank * a_rank_takes(shape)
    u, s, v = torch.linalg.svd(rows, full_matrices=False)
    torch.testing.assert_close(left @ right, u[:, :rank] * s[:rank] @ v[:rank], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(left.norm(dim=0), s[:rank].sqrt(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(right.norm(dim=1), s[:rank].sqrt(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 8), (8, 3)])
def test_of_nothing_the_factors_are_zero_and_of_a_full_rank_all_is_kept(shape):
    zeros = closest(torch.zeros(shape), 2)
    assert not any(factor.any() for factor in zeros)
    one = torch.outer(torch.arange(shape[0]) + 1.0, torch.arange(shape[1]) - 2.0)
    left, right = closest(one, 3)  # of rank 1: the other two directions are rounding
    torch.testing.assert_close((left @ right).float(), one)
    weight = torch.randn(shape)
    left, right = closest(weight, 3)
    torch.testing.assert_close((left @ right).float(), weight)
