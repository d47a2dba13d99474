"""Datasets by name."""

import subprocess
import sys

import pytest
from loading import load_dataset

from foldnet.data.sources import SOURCES
from foldnet.errors import SettingError, UnknownName


def test_names():
    assert tuple(SOURCES) == (
        "digits",
        "cifar10",
        "cifar100",
        "folder",
        "paths",
        "mazes",
        "prefix-sums",
        "addition",
        "text",
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cifar", r"^dataset 'cifar' is not known; choose digits, cifar10, cifar100, folder, paths, mazes, prefix-sums, addition or text; did you mean 'cifar10' or 'cifar100'\?$"),
        ("mnist", r"^dataset 'mnist' is not known; choose digits, cifar10, cifar100, folder, paths, mazes, prefix-sums, addition or text$"),
        ("", r"^dataset '' is not known; choose digits, cifar10, cifar100, folder, paths, mazes, prefix-sums, addition or text$"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist(name, sentence):
    with pytest.raises(UnknownName, match=sentence):
        load_dataset(name)


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100"])
def test_a_size_for_pictures_that_have_one(name):
    sentence = f"^`image_size=64` has no meaning for {name}; leave it out or use `dataset='folder'`$"
    with pytest.raises(SettingError, match=sentence):
        load_dataset(name, image_size=64)


def test_import_is_light():
    code = (
        "import sys, foldnet.data.sources, foldnet.data.batches; "
        "print([name for name in ('sklearn', 'torchvision', 'PIL') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
