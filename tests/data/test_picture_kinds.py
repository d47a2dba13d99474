"""What Pillow may find in a file, and what becomes of it."""

import re
from pathlib import Path

import numpy as np
import pytest
from loading import load_dataset
from PIL import Image

from foldnet.errors import DataError


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def loaded(root: Path, picture: Image.Image, **options) -> np.ndarray:
    """The picture as the dataset has it, (h, w, 3), after it was saved with these options."""
    for part in ("train", "test"):
        (root / part / "one").mkdir(parents=True)
        picture.save(root / part / "one" / "0.png", **options)
    return load_dataset("folder", data_dir=root, image_size=8).train.pixels[0].permute(1, 2, 0).numpy()


def test_grey_is_the_same_in_every_channel(tmp_path):
    grey = noise(8, 8)
    assert np.array_equal(loaded(tmp_path, Image.fromarray(grey)), np.stack([grey] * 3, 2))


def test_alpha_is_dropped(tmp_path):
    pixels = noise(8, 8, 4)
    assert np.array_equal(loaded(tmp_path, Image.fromarray(pixels)), pixels[:, :, :3])


@pytest.mark.parametrize("options", [{}, {"transparency": 0}, {"transparency": bytes([0, 128, 255])}])
def test_a_palette_is_looked_up_without_a_warning(tmp_path, options):
    picture = Image.fromarray(noise(8, 8, 3)).convert("P")
    assert np.array_equal(loaded(tmp_path, picture, **options), np.asarray(picture.convert("RGB")))


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = noise(8, 8) > 128
    assert np.array_equal(loaded(tmp_path, Image.fromarray(bits)), np.stack([bits * np.uint8(255)] * 3, 2))


def test_16_bits_are_refused_rather_than_clipped_to_white(tmp_path):
    picture = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
    file = tmp_path / "train/one/0.png"
    sentence = f"'{file}' can't be read as a picture (it has more than 8 bits a channel); mend or remove it"
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        loaded(tmp_path, picture)
