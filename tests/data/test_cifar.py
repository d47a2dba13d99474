"""CIFAR through torchvision's own classes, on tiny files in its layout."""

import hashlib
import pickle
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from loading import load_dataset
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets import utils as torchvision_utils

from foldnet.data.augment import Augmentation
from foldnet.errors import DataError

READERS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
EACH = 4  # pictures in a file


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def make_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Write every file of the dataset, a few pictures each, and teach torchvision their checksums; returns the pixels."""
    reader = READERS[name]
    folder = root / reader.base_folder
    folder.mkdir(parents=True)
    random, pixels = np.random.default_rng(0), {}
    key = "labels" if name == "cifar10" else "fine_labels"

    def write(file: str, value: object) -> str:
        (folder / file).write_bytes(pickle.dumps(value, protocol=2))
        return digest(folder / file)

    for part in ("train_list", "test_list"):
        listed = []
        for file, _ in getattr(reader, part):
            pixels[file] = random.integers(0, 256, (EACH, 3072), dtype=np.uint8)
            listed.append([file, write(file, {"data": pixels[file], key: list(range(EACH))})])
        monkeypatch.setattr(reader, part, listed)
    classes = [f"class {n}" for n in range(10 if name == "cifar10" else 100)]
    md5 = write(reader.meta["filename"], {reader.meta["key"]: classes})
    monkeypatch.setattr(reader, "meta", reader.meta | {"md5": md5})
    return pixels


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_pixels_labels_and_statistics(tmp_path, monkeypatch, name):
    pixels = make_cifar(tmp_path, name, monkeypatch)
    dataset = load_dataset(name, data_dir=tmp_path)
    reader = READERS[name]
    for images, listed in ((dataset.train, reader.train_list), (dataset.test, reader.test_list)):
        expected = np.concatenate([pixels[file] for file, _ in listed]).reshape(-1, 3, 32, 32)
        assert torch.equal(images.pixels, torch.from_numpy(expected))
        assert images.labels.tolist() == list(range(EACH)) * len(listed)
        assert images.pixels.is_contiguous()
        assert (images.pixels.dtype, images.labels.dtype) == (torch.uint8, torch.int64)
    assert dataset.name == name
    assert dataset.classes[1] == "class 1"
    assert (dataset.channels, dataset.size, dataset.scale) == (3, 32, 255.0)
    assert dataset.augmentation == Augmentation(padding=4, flip=True, cutout=0)
    published = {
        "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    }
    assert np.multiply((dataset.mean, dataset.std), 255) == pytest.approx(np.array(published[name]))


def missing(root: Path, name: str = "cifar10") -> str:
    return (
        "^"
        + re.escape(
            f"{name} is missing or damaged in '{root}'; fetch it with `download=True`, or say where with `data_dir`"
        )
        + "$"
    )


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_files_are_one_sentence(tmp_path, name):
    with pytest.raises(DataError, match=missing(tmp_path, name)):
        load_dataset(name, data_dir=tmp_path)


def test_the_default_place_is_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=missing(Path("data"))):
        load_dataset("cifar10")
    make_cifar(tmp_path / "data", "cifar10", monkeypatch)
    assert len(load_dataset("cifar10").test) == EACH


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "gone"])
def test_damaged_files_are_one_sentence(tmp_path, monkeypatch, file, harm):
    make_cifar(tmp_path, "cifar10", monkeypatch)
    path = tmp_path / CIFAR10.base_folder / file
    content = path.read_bytes()
    harmed = {"cut": content[: len(content) // 2], "changed": b"\x00" + content[1:], "empty": b""}
    path.unlink() if harm == "gone" else path.write_bytes(harmed[harm])
    with pytest.raises(DataError, match=missing(tmp_path)):
        load_dataset("cifar10", data_dir=tmp_path)


def test_a_place_that_is_a_file_is_one_sentence(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(DataError, match=missing(place)):
        load_dataset("cifar10", data_dir=place)


def offer(archive: Path, monkeypatch: pytest.MonkeyPatch, md5: str) -> None:
    """Let torchvision fetch this archive: its download without the network."""
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    monkeypatch.setattr(torchvision_utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(torchvision_utils, "_urlretrieve", lambda _, to, **__: shutil.copy(archive, to))


def test_download_fetches_and_unpacks(tmp_path, monkeypatch, capsys):
    make_cifar(tmp_path / "there", "cifar10", monkeypatch)
    archive = tmp_path / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "there" / CIFAR10.base_folder, CIFAR10.base_folder)
    offer(archive, monkeypatch, digest(archive))
    assert len(load_dataset("cifar10", data_dir=tmp_path / "here", download=True).train) == 5 * EACH
    assert capsys.readouterr().out == ""  # the command line's stdout carries JSON


@pytest.mark.parametrize("checksum", ["right", "wrong"])
def test_a_damaged_archive_is_one_sentence(tmp_path, monkeypatch, checksum):
    archive = tmp_path / CIFAR10.filename
    archive.write_bytes(b"\x1f\x8b no archive")
    offer(archive, monkeypatch, digest(archive) if checksum == "right" else "0" * 32)
    with pytest.raises(
        DataError, match=r"^cifar10 is missing or damaged in '[^\n]+' \([^\n]+\); check the network [^\n]+$"
    ):
        load_dataset("cifar10", data_dir=tmp_path / "here", download=True)


def test_no_network_is_one_sentence(tmp_path, monkeypatch):
    offer(tmp_path / "absent.tar.gz", monkeypatch, "0" * 32)
    with pytest.raises(
        DataError, match=r"^cifar10 is missing [^\n]+; check the network and the free space, or [^\n]+$"
    ):
        load_dataset("cifar10", data_dir=tmp_path / "here", download=True)
