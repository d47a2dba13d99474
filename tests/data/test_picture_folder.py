"""A user's own pictures, from folders of class folders."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from loading import load_dataset
from PIL import Image

from foldnet.data import folder
from foldnet.data.dataset import Images, split_validation
from foldnet.data.pictures import Pictures
from foldnet.errors import DataError, SettingError


def picture(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (10, 8), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    Image.fromarray(values.squeeze(), mode=None).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, 2 training pictures and 1 test picture of each."""
    for number, place in enumerate(f"{part}/{kind}" for part in ("train", "test") for kind in ("cat", "dog")):
        picture(tmp_path / place / "0.png", seed=number)
        if place.startswith("train"):
            picture(tmp_path / place / "1.png", seed=number + 10, size=(7, 20))
    return tmp_path


def refused(root: Path, message: str, **options) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("folder", data_dir=root, **options)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_become_squares_of_bytes(root):
    dataset = load_dataset("folder", data_dir=root, image_size=16)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.pixels.shape == (4, 3, 16, 16)
    assert dataset.test.pixels.shape == (2, 3, 16, 16)
    assert dataset.train.labels.tolist() == [0, 0, 1, 1]
    assert dataset.train.pixels.dtype == torch.uint8
    assert (dataset.augmentation.padding, dataset.augmentation.flip, dataset.scale) == (2, True, 255.0)
    assert load_dataset("folder", data_dir=root).size == 32


def test_a_picture_of_the_right_size_is_kept_to_the_byte(root):
    picture(root / "test/cat/0.png", size=(16, 16), seed=5)
    expected = np.asarray(Image.open(root / "test/cat/0.png"))
    dataset = load_dataset("folder", data_dir=root, image_size=16)
    assert np.array_equal(dataset.test.pixels[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize(("mode", "ending"), [("L", "png"), ("RGBA", "png"), ("RGB", "jpg"), ("RGB", "bmp")])
def test_other_kinds_of_picture_become_rgb(root, mode, ending):
    picture(root / f"train/cat/2.{ending}", mode=mode)
    assert load_dataset("folder", data_dir=root).train.pixels.shape == (5, 3, 32, 32)


def test_mean_and_std_are_those_of_the_training_pictures(root):
    dataset = load_dataset("folder", data_dir=root)
    values = dataset.train.pixels.double() / 255
    assert dataset.mean == pytest.approx(values.mean((0, 2, 3)).tolist())
    assert dataset.std == pytest.approx(values.std((0, 2, 3), correction=0).tolist())


def test_pictures_of_one_colour_can_still_be_normalised(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part / "one").mkdir(parents=True)
        Image.new("RGB", (8, 8), (10, 20, 30)).save(tmp_path / part / "one" / "0.png")
    dataset = load_dataset("folder", data_dir=tmp_path)
    assert dataset.std == (1 / 255,) * 3
    assert dataset.mean == pytest.approx((10 / 255, 20 / 255, 30 / 255))


def test_no_data_dir():
    with pytest.raises(DataError, match=r"^`dataset='folder'` needs `data_dir`, a folder that holds train/CLASS and "):
        load_dataset("folder")


@pytest.mark.parametrize("part", ["train", "test"])
def test_missing_and_empty_folders(root, part):
    place = root / part
    place.rename(root / "aside")
    refused(root, f"^'{place}' is no folder of class folders .*; put pictures into {place}/CLASS/$")
    place.mkdir()
    refused(root, f"^'{place}' is no folder of class folders .*; put pictures into {place}/CLASS/$")
    (place / "cat").mkdir()
    refused(root, f"^'{place}' is no folder of class folders .* cat\\); put pictures into {place}/CLASS/$")
    (place / "cat").rmdir()
    place.rmdir()
    place.write_text("no folder")
    refused(root, f"^'{place}' is no folder of class folders .*; put pictures into {place}/CLASS/$")


def test_classes_differ(root):
    picture(root / "train/eel/0.png")
    refused(root, "^'.*' has class 'eel' in only one of train and test; give both the same class folders$")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tiff", "webp", "bmp"])
@pytest.mark.parametrize("harm", ["cut", "text", "empty"])
def test_an_unreadable_picture_is_named(root, part, ending, harm):
    path = root / part / "dog" / f"bad.{ending}"
    picture(path, size=(40, 40))
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "text": b"no picture", "empty": b""}[harm])
    if ending == "gif":
        path = path.rename(path.with_suffix(".ppm"))  # ImageFolder skips .gif, and goes by the ending alone
    refused(root, f"^'{re.escape(str(path))}' can't be read as a picture \\(.*\\); mend or remove it$")


@pytest.fixture
def crowded(monkeypatch):
    """A machine without room for decoded pictures."""
    monkeypatch.setattr(folder, "memory_bytes", lambda: (1000, 1000))


def test_what_does_not_fit_in_memory_stays_in_its_files_and_is_the_same(root, monkeypatch):
    kept = load_dataset("folder", data_dir=root, image_size=16)
    monkeypatch.setattr(folder, "memory_bytes", lambda: (1000, 1000))
    left = load_dataset("folder", data_dir=root, image_size=16)
    assert (type(kept.train), type(left.train), type(left.test)) == (Images, Pictures, Pictures)
    assert (left.mean, left.std, left.digest, left.classes) == (kept.mean, kept.std, kept.digest, kept.classes)
    assert (left.channels, left.size, left.train.shape) == (3, 16, (4, 3, 16, 16))
    assert torch.equal(left.train.read([0, 1, 2, 3]), kept.train.pixels)
    for seed in (0, 1):
        one, other = (split_validation(dataset, 2, seed) for dataset in (kept, left))
        assert one.hash == other.hash
        assert torch.equal(one.train.ids, other.train.ids)
        assert torch.equal(one.validation.labels, other.validation.labels)


@pytest.mark.parametrize(
    ("found", "room"), [((900, 600), 100), ((900, None), 75), ((None, None), folder.UNKNOWN_MEMORY // 6)]
)
def test_pictures_may_take_half_of_the_free_memory_with_their_copies(monkeypatch, found, room):
    monkeypatch.setattr(folder, "memory_bytes", lambda: found)
    assert folder._room(1) == room
    assert folder._room(5) == room // 5


def test_many_pictures_are_decoded_by_worker_processes_to_the_same_bytes(root, monkeypatch):
    expected = load_dataset("folder", data_dir=root)
    asked = []
    real = folder.in_workers

    def seen(read, blocks, *, workers):
        asked.append((workers, [len(rows) for rows in blocks]))
        return real(read, blocks, workers=workers)

    monkeypatch.setattr(folder, "in_workers", seen)
    monkeypatch.setattr(folder, "FEW", 3)
    monkeypatch.setattr(folder, "BLOCK", 2)
    monkeypatch.setattr(folder, "cores", lambda: 2)
    found = load_dataset("folder", data_dir=root)
    assert asked == [(2, [2, 2]), (0, [2])]
    assert torch.equal(found.train.pixels, expected.train.pixels)
    assert found.digest == expected.digest
    (root / "train/dog/1.png").write_bytes(b"no picture")
    refused(root, f"^'{re.escape(str(root))}/train/dog/1.png' can't be read as a picture \\(.*\\); mend or remove it$")


def test_the_names_of_the_classes_are_in_the_hash(root):
    before = split_validation(load_dataset("folder", data_dir=root), 0, 0).hash
    assert split_validation(load_dataset("folder", data_dir=root), 0, 0).hash == before
    for part in ("train", "test"):
        (root / part / "dog").rename(root / part / "eel")
    renamed = load_dataset("folder", data_dir=root)
    assert renamed.classes == ("cat", "eel")
    assert split_validation(renamed, 0, 0).hash != before


def test_a_picture_that_cannot_be_read_is_found_before_training_also_where_none_are_kept(root, crowded):
    path = root / "test/dog/0.png"
    path.write_bytes(path.read_bytes()[:60])
    refused(root, f"^'{re.escape(str(path))}' can't be read as a picture \\(.*\\); mend or remove it$")


@pytest.mark.parametrize(
    ("size", "said"),
    [(3, "not legal; give a whole number from 4 to 4096"), (4097, "not legal; give a whole number from 4 to 4096")],
)
def test_a_size_that_no_network_or_no_memory_takes(root, size, said):
    with pytest.raises(SettingError, match=f"^`image_size={size}` is {said}$"):
        load_dataset("folder", data_dir=root, image_size=size)
