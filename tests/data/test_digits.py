"""The digits inside scikit-learn."""

import pytest
import torch
from loading import load_dataset
from sklearn.datasets import load_digits as sklearn_digits


def test_digits_are_split_once_for_all():
    dataset, again = load_dataset("digits"), load_dataset("digits")
    assert (len(dataset.train), len(dataset.test)) == (1437, 360)
    assert torch.equal(dataset.test.pixels, again.test.pixels)
    assert dataset.classes == tuple("0123456789")
    assert dataset.test.labels.bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert (dataset.channels, dataset.size, dataset.scale) == (1, 8, 16.0)
    assert (dataset.train.pixels.dtype, dataset.train.labels.dtype) == (torch.uint8, torch.int64)


def test_every_digit_is_in_one_part():
    dataset, whole = load_dataset("digits"), sklearn_digits()

    def rows(pixels: torch.Tensor, labels: torch.Tensor) -> list[tuple[int, ...]]:
        return sorted(tuple(row) for row in torch.cat([pixels.flatten(1).long(), labels[:, None]], 1).tolist())

    parts = (dataset.train, dataset.test)
    ours = rows(torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts]))
    assert ours == rows(torch.from_numpy(whole.images).flatten(1), torch.from_numpy(whole.target))


def test_statistics_are_the_training_images():
    dataset = load_dataset("digits")
    scaled = dataset.train.pixels.double() / dataset.scale
    assert dataset.mean == pytest.approx([float(scaled.mean())], abs=1e-3)
    assert dataset.std == pytest.approx([float(scaled.std())], abs=1e-3)
