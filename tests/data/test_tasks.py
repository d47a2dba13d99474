"""Tasks: losses, scores and predictions of classes, cells and bytes, against scikit-learn, torch and slow sums."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch import nn

from foldnet.data.tasks import BITS, BYTES, CELLS, CLASSES, SUMS, UNSCORED


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 7), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10_000))
def test_f1_is_scikit_learns_over_all_cells(count, side, marked, wanted, seed):
    random = np.random.default_rng(seed)
    outputs = torch.from_numpy(np.where(random.random((count, side, side)) < marked, 1.0, -1.0))
    targets = torch.from_numpy(random.random((count, side, side)) < wanted)
    counts = CELLS.counts(outputs, targets).tolist()
    flat, mine = targets.numpy().reshape(count, -1), (outputs > 0).numpy().reshape(count, -1)
    assert CELLS.score(counts, count) == pytest.approx(f1_score(flat.ravel(), mine.ravel(), zero_division=0), abs=1e-12)
    assert CELLS.score(counts, count) == pytest.approx(
        f1_score(flat.ravel(), mine.ravel(), average="binary", zero_division=0)
    )
    assert counts[0] == (flat == mine).all(1).sum()
    if side * side > 1:
        micro = f1_score(flat, mine, average="micro", zero_division=0)
        assert CELLS.score(counts, count) == pytest.approx(micro, abs=1e-12)


def test_counts_of_each_add_up():
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(9, 5, 5, generator=generator), torch.rand(9, 5, 5, generator=generator) < 0.3
    each = CELLS.counts_of_each(outputs, targets)
    assert (each.shape, each.dtype) == ((9, 4), torch.int64)
    assert torch.equal(each.sum(0), CELLS.counts(outputs, targets))
    assert torch.equal(each[:, 1] + each[:, 2], targets.flatten(1).sum(1))


def test_a_cell_is_marked_above_a_half_and_only_there():
    outputs = torch.tensor([[[-1e-6, 0.0, 1e-6]]])
    assert CELLS.predict(outputs).tolist() == [[[False, False, True]]]
    assert (outputs.sigmoid() > 0.5).tolist() == [[[False, False, True]]]


def test_nothing_marked_where_nothing_is_scores_zero():
    assert CELLS.score((3, 0, 0, 0), 3) == 0


def test_the_loss_of_cells_is_the_mean_over_them():
    generator = torch.Generator().manual_seed(1)
    outputs, targets = torch.randn(4, 3, 3, generator=generator), torch.rand(4, 3, 3, generator=generator) < 0.5
    probability = outputs.sigmoid()
    wanted = -torch.where(targets, probability, 1 - probability).log().mean()
    assert CELLS.loss(outputs, targets).item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "shape"), [(CLASSES, (6, 5)), (CELLS, (6, 4, 4)), (BYTES, (2, 3, 5)), (SUMS, (2, 3, 5))]
)
def test_imitation_is_least_where_both_agree(task, shape):
    generator = torch.Generator().manual_seed(2)
    teacher, other = (torch.randn(shape, generator=generator) for _ in range(2))
    outputs = teacher.clone().requires_grad_()
    same = task.imitation(outputs, teacher)
    same.backward()
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert outputs.grad.abs().max() < 1e-6
    assert task.imitation(other, teacher) > 0.01


@pytest.mark.parametrize(
    ("task", "shape"), [(CLASSES, (200, 5)), (CELLS, (50, 4, 4)), (BYTES, (20, 7, 5)), (SUMS, (20, 7, 5))]
)
def test_no_prediction_changes_by_less_than_half_its_margin(task, shape):
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(shape, generator=generator)
    margin = task.margin(outputs)
    assert margin.shape == task.predict(outputs).shape
    room = margin if task is CELLS else margin[..., None]
    change = 0.499 * room * torch.rand(shape, generator=generator).sub(0.5).sign()
    assert torch.equal(task.predict(outputs + change), task.predict(outputs))


def test_classes_are_scored_as_before():
    outputs, labels = torch.eye(4), torch.tensor([0, 1, 3, 3])
    assert CLASSES.counts(outputs, labels).tolist() == [3]
    assert CLASSES.score([3], 4) == 0.75
    assert CLASSES.loss(outputs, labels).item() == pytest.approx(nn.functional.cross_entropy(outputs, labels).item())


def test_bits_per_byte_are_those_of_a_slow_sum():
    generator = torch.Generator().manual_seed(4)
    outputs, targets = torch.randn(3, 5, 256, generator=generator), torch.randint(256, (3, 5), generator=generator)
    targets[2, 3:] = UNSCORED
    bits, count = 0.0, 0
    for window, wanted in zip(outputs.double().tolist(), targets.tolist(), strict=True):
        for logits, byte in zip(window, wanted, strict=True):
            if byte != UNSCORED:
                bits -= math.log2(math.exp(logits[byte]) / sum(map(math.exp, logits)))
                count += 1
    counts = BYTES.counts(outputs, targets).tolist()
    assert counts == [pytest.approx(bits, rel=1e-6), count]
    assert BYTES.score(counts, 3) == pytest.approx(bits / count)
    assert BYTES.loss(outputs, targets).item() == pytest.approx(bits / count * math.log(2), rel=1e-5)
    assert (BYTES.scored(counts), BYTES.right(counts), CLASSES.scored([3]), CELLS.scored([1, 2, 3, 4])) == (
        13,
        *[None] * 3,
    )
    assert torch.equal(BYTES.counts_of_each(outputs, targets).sum(0), BYTES.counts(outputs, targets))


def test_bits_per_byte_are_written_with_the_bytes_that_they_are_over():
    assert BYTES.written(2.34567) == "bits per byte 2.3457"
    assert (BYTES.written(2.34567, 1), BYTES.written(None)) == ("2.346 bits", "-")
    assert BYTES.counted(2.34567, 436, scored=111_539) == "bits per byte 2.3457 (111,539 bytes in 436 windows)"
    assert BYTES.counted(2.34567, 436) == "bits per byte 2.3457 (436 windows)"
    assert (BYTES.merit(2.0) > BYTES.merit(2.5), BYTES.points) == (True, 1)


def test_strings_count_whole_and_place_by_place():
    targets = torch.tensor([[True, False, True], [False, False, True]])
    outputs = torch.where(targets, 1.0, -1.0)
    outputs[1, 0] = 2.0
    counts = BITS.counts_of_each(outputs, targets)
    assert counts.tolist() == [[1, 3, 3], [0, 2, 3]]
    total = BITS.counts(outputs, targets).tolist()
    assert (BITS.score(total, 2), BITS.right(total), BITS.scored(total), BITS.share_within(total)) == (0.5, 1, 6, 5 / 6)
    assert BITS.counted(0.5, 2, 1, 6) == "50.00 % (1 of 2)"
    assert CELLS.share_within((1, 2, 3, 4)) is None


def test_sums_count_whole_and_byte_by_byte():
    targets = torch.tensor([[UNSCORED, 3, 4], [UNSCORED, 3, UNSCORED], [UNSCORED, 1, 2]])
    said = torch.tensor([[9, 3, 4], [0, 3, 7], [1, 1, 3]])
    outputs = nn.functional.one_hot(said, 10).float()
    counts = SUMS.counts_of_each(outputs, targets)
    assert counts.tolist() == [[1, 2, 2], [1, 1, 1], [0, 1, 2]]
    total = SUMS.counts(outputs, targets).tolist()
    assert (SUMS.score(total, 3), SUMS.right(total), SUMS.scored(total)) == (2 / 3, 2, 5)
    assert SUMS.share_within(total) == 4 / 5
    assert (SUMS.counted(2 / 3, 3, 2, 5), SUMS.written(0.5, 1)) == ("66.67 % (2 of 3)", "50.0 %")
    assert (SUMS.merit(0.5) > SUMS.merit(0.4), SUMS.points, SUMS.proportion) == (True, 100, True)
    assert SUMS.loss(outputs, targets).item() == pytest.approx(BYTES.loss(outputs, targets).item())
