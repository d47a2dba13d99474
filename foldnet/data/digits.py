"""The digits inside scikit-learn: 1,797 real scans of 8x8 pixels in 17 shades, no download."""

import torch

from foldnet.data.augment import Augmentation
from foldnet.data.dataset import Dataset, images_of

TEST_IMAGES = 360
SPLIT_SEED = 0  # the test set is the same for every run


def load_digits() -> Dataset:
    """1,437 training and 360 test images (1, 8, 8), stratified by class. Pixels run from 0 to 16."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    bunch = load()
    train_pixels, test_pixels, train_labels, test_labels = train_test_split(
        bunch.images.astype("uint8")[:, None],
        bunch.target.astype("int64"),
        test_size=TEST_IMAGES,
        random_state=SPLIT_SEED,
        stratify=bunch.target,
    )
    return Dataset(
        name="digits",
        classes=tuple(str(name) for name in bunch.target_names),
        train=images_of(torch.from_numpy(train_pixels), torch.from_numpy(train_labels)),
        test=images_of(torch.from_numpy(test_pixels), torch.from_numpy(test_labels)),
        mean=(0.305,),
        std=(0.376,),
        scale=16.0,
        augmentation=Augmentation(padding=1),
    )
