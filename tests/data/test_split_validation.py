"""Validation images, set aside by class and by seed."""

import re
from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from loading import load_dataset

from foldnet.data.augment import Augmentation
from foldnet.data.dataset import Dataset, Images, images_of, split_validation
from foldnet.errors import SettingError
from foldnet.training.settings import train_settings


def some_dataset(*counts: int) -> Dataset:
    """As many images of each class as said; an image's first pixels are its number."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    pixels = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = torch.arange(len(labels)) % 256, torch.arange(len(labels)) // 256
    images = images_of(pixels, labels)
    classes = tuple(f"class {n}" for n in range(len(counts)))
    return Dataset("some", classes, images, images, (0.5,), (0.5,), 255.0, Augmentation())


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.mark.parametrize(("validation", "sizes"), [(360, (1077, 360)), (0.1, (1293, 144)), (0.25, (1078, 359))])
def test_sizes_and_classes(digits, validation, sizes):
    split = split_validation(digits, validation, 0)
    assert split.validation is not None
    assert (len(split.train), len(split.validation), len(split.test)) == (*sizes, 360)
    whole = digits.train.labels.bincount() / len(digits.train)
    held = split.validation.labels.bincount() / len(split.validation)
    torch.testing.assert_close(held, whole, atol=1.5 / len(split.validation), rtol=0)


@given(st.lists(st.integers(10, 60), min_size=2, max_size=4), st.floats(0.15, 0.8), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_every_image_is_in_one_part_with_its_own_id(counts, validation, seed):
    dataset = some_dataset(*counts)
    split = split_validation(dataset, validation, seed)
    assert split.validation is not None
    ids = torch.cat([split.train.ids, split.validation.ids])
    assert sorted(ids.tolist()) == list(range(len(dataset.train)))
    for part in (split.train, split.validation):
        assert torch.equal(part.pixels, dataset.train.pixels[part.ids])
        assert torch.equal(part.labels, dataset.train.labels[part.ids])


def test_nothing_set_aside(digits):
    split = split_validation(digits, 0, 0)
    assert split.validation is None
    assert torch.equal(split.train.pixels, digits.train.pixels)
    assert split.hash == split_validation(digits, 0.0, 9).hash


def test_the_hash_tells_seed_share_pixels_and_labels():
    dataset = some_dataset(20, 20)
    first = split_validation(dataset, 10, 0)
    assert re.fullmatch(r"[0-9a-f]{64}", first.hash)
    assert split_validation(dataset, 10, 0).hash == split_validation(dataset, 0.25, 0).hash == first.hash

    def changed(**parts: torch.Tensor) -> Dataset:
        return replace(dataset, train=replace(dataset.train, **parts))

    pixels, labels = dataset.train.pixels.clone(), dataset.train.labels.clone()
    pixels[7, 0, 1, 1] += 1
    labels[[0, 20]] = labels[[20, 0]]
    folded = dataset.train.pixels.reshape(-1, 1, 1, 4)
    others = [
        split_validation(dataset, 10, 1),
        split_validation(dataset, 11, 0),
        split_validation(dataset, 0, 0),
        *(
            split_validation(changed(**part), 10, 0)
            for part in ({"pixels": pixels}, {"labels": labels}, {"pixels": folded})
        ),
    ]
    assert first.hash not in {other.hash for other in others}
    assert len({other.hash for other in others}) == len(others)


def test_a_large_or_negative_seed_is_a_seed_too():
    dataset = some_dataset(20, 20)
    assert split_validation(dataset, 10, 2**40 + 1).hash == split_validation(dataset, 10, 1).hash
    assert split_validation(dataset, 10, -1).validation is not None


@pytest.mark.parametrize(
    ("validation", "sentence"),
    [
        (1.5, "`validation=1.5` is neither a share below 1 nor a whole number of images"),
        (1, "`validation=1` would set 1 of 40 images aside; both parts need one of each of 2 classes, so give 0 or from 2 to 38"),
        (39, "`validation=39` would set 39 of 40 images aside; both parts need one of each of 2 classes, so give 0 or from 2 to 38"),
        (40, "`validation=40` would set 40 of 40 images aside; both parts need one of each of 2 classes, so give 0 or from 2 to 38"),
        (0.001, "`validation=0.001` would set 0 of 40 images aside; both parts need one of each of 2 classes, so give 0 or from 2 to 38"),
        (0.999, "`validation=0.999` would set 40 of 40 images aside; both parts need one of each of 2 classes, so give 0 or from 2 to 38"),
    ],
)  # fmt: skip
def test_what_is_not_legal_is_one_sentence(validation, sentence):
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        split_validation(some_dataset(20, 20), validation, 0)


def test_a_class_of_one_image_cannot_be_split():
    sentence = "^`validation=3` needs two training images in every class and one has only one; give 0$"
    with pytest.raises(SettingError, match=sentence):
        split_validation(some_dataset(20, 1), 3, 0)


def test_no_class_loses_its_last_training_image():
    with pytest.raises(SettingError, match=r"^`validation=0\.9` leaves a class without training images; give less$"):
        split_validation(some_dataset(98, 2), 0.9, 0)


def test_taken_images_keep_their_ids():
    images = some_dataset(3, 3).train
    assert isinstance(images, Images)
    assert images.take(torch.tensor([5, 2])).take(torch.tensor([0])).ids.tolist() == [5]
    assert Counter(images.labels.tolist()) == {0: 3, 1: 3}


@pytest.mark.parametrize("validation", [-1, float("nan"), float("inf")])
def test_what_is_no_number_of_images_is_no_setting(validation):
    said = rf"^`validation={validation:g}` is not legal; give a number from 0 to 1000000000$"
    with pytest.raises(SettingError, match=said):
        train_settings({"dataset": "digits", "validation": validation})
