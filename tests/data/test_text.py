"""Text as a dataset: its parts, its batches, and what is no text."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foldnet.data.augment import shifts
from foldnet.data.source import Asked
from foldnet.data.sources import TextSource
from foldnet.data.tasks import BYTES, UNSCORED
from foldnet.data.text import TextLoader, load_text, read_documentation
from foldnet.errors import DataError, SettingError
from foldnet.training.machine import Machine
from foldnet.training.session import loader_of
from foldnet.training.settings import make_source

CPU = torch.device("cpu")


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture
def text(tmp_path, monkeypatch) -> Path:
    """1,000 bytes of every kind, in text.txt of the working folder."""
    monkeypatch.chdir(tmp_path)
    file = Path("text.txt")
    file.write_bytes(bytes(range(250)) * 4)
    return file


@pytest.mark.parametrize(("validation", "held"), [(0.1, 90), (0.25, 225), (0, 0), (100, 100), (0.0999, 90)])
def test_the_parts_follow_each_other(text, validation, held):
    dataset, split = load_text(text, 8, validation)
    content, train = text.read_bytes(), 900 - held
    assert bytes(split.train.text.tolist()) == content[:train]
    assert bytes(split.test.text.tolist()) == content[900:]
    if held:
        assert bytes(split.validation.text.tolist()) == content[train:900]
    else:
        assert split.validation is None
    assert (dataset.size, dataset.channels, len(dataset.classes), dataset.task) == (8, 1, 256, BYTES)
    assert (len(split.train), len(split.test)) == ((train - 1) // 8, 13)
    assert len({load_text(text, 8, 0.1)[1].hash, load_text(text, 16, 0.1)[1].hash}) == 1
    assert load_text(text, 8, 0.2)[1].hash != load_text(text, 8, 0.1)[1].hash


def test_another_byte_that_is_trained_on_is_another_text(text):
    before = load_text(text, 8, 0.1)[1].hash
    content = bytearray(text.read_bytes())
    content[950] += 1  # of the test part, which nothing is chosen by
    text.write_bytes(content)
    assert load_text(text, 8, 0.1)[1].hash == before
    content[850] += 1
    text.write_bytes(content)
    assert load_text(text, 8, 0.1)[1].hash != before


def test_a_folder_is_its_texts_in_order(text):
    Path("some").mkdir()
    for name, content in (("b.txt", b"second" * 50), ("a.txt", b"first" * 50), ("c.md", b"other" * 50)):
        (Path("some") / name).write_bytes(content)
    _, split = load_text(Path("some"), 8, 0.1)
    assert bytes(split.train.text.tolist()).startswith(b"first" * 50 + b"\n" + b"second")
    assert sum(len(part.text) for part in (split.train, split.validation, split.test)) == 551


def test_without_a_place_it_is_the_documentation_inside_python():
    """Nothing is downloaded, and another process reads the same."""
    ours = read_documentation()
    dataset, split = TextSource().load(Asked(validation=0.1))
    assert b"lambda" in ours
    assert len(ours) > 300_000
    assert (dataset.name, dataset.size) == ("text", 128)
    assert sum(len(part.text) for part in (split.train, split.validation, split.test)) == len(ours)
    said = "import hashlib; from foldnet.data.text import read_documentation as read"
    command = [sys.executable, "-c", f"{said}; print(hashlib.sha256(read()).hexdigest())"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.strip() == hashlib.sha256(ours).hexdigest()


def test_a_python_without_documentation_is_told_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    sentence = (
        "`dataset='text'` without `data_dir` reads the documentation inside Python, and this Python was installed "
        "without pydoc_data; give a text with `data_dir`"
    )
    with pytest.raises(DataError, match=exactly(sentence)):
        load_text(None, 8, 0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place.write_bytes(b""), "'here' is empty; give a file of text"),
        (lambda place: None, "'here' cannot be read (No such file or directory); give a text with `data_dir`"),
        (lambda place: place.mkdir(), "'here' holds no .txt file; give a file, or a folder of .txt files"),
        (os.mkfifo, "'here' is a named pipe and not a plain file; put one there"),
        (
            lambda place: place.write_bytes(b"x" * 100),
            "'here' has 100 bytes, 9 of them to choose by, and `context=16` needs more; give a longer text or a shorter "
            "context",
        ),
        (
            lambda place: place.write_bytes(b"x"),
            "'here' has 1 bytes, 1 of them to train on, and `context=16` needs more; give a longer text or a shorter "
            "context",
        ),
    ],
)
def test_what_is_no_text_is_refused(text, make, said):
    make(Path("here"))
    with pytest.raises(DataError, match=exactly(said)):
        load_text(Path("here"), 16, 0.1)


def test_a_text_that_is_too_long_is_refused(text, monkeypatch):
    monkeypatch.setattr("foldnet.data.text.LARGEST", 999)
    sentence = "'text.txt' has more than 999 bytes, the most that a text may have; give a smaller one"
    with pytest.raises(DataError, match=exactly(sentence)):
        load_text(text, 8, 0.1)
    with pytest.raises(
        DataError, match=exactly("'\0' cannot be read (No such file or directory); give a text with `data_dir`")
    ):
        load_text(Path("\0"), 8, 0.1)


def test_a_folder_with_an_empty_text_is_refused(text):
    Path("some").mkdir()
    Path("some/a.txt").touch()
    with pytest.raises(DataError, match=exactly("'some/a.txt' is empty; give a file of text")):
        load_text(Path("some"), 8, 0.1)


@pytest.mark.parametrize("validation", [1.5, 900, 5000])
def test_bytes_that_cannot_be_set_aside_are_refused(text, validation):
    sentence = f"`validation={validation}` is neither a share below 1 nor a whole number of bytes below 900"
    with pytest.raises(SettingError, match=exactly(sentence)):
        load_text(text, 8, validation)


@pytest.mark.parametrize("context", [1, 5000, 8.0])
def test_a_context_out_of_bounds_is_refused(context):
    sentence = f"`context={context}` is not legal; give a whole number from 2 to 4096"
    with pytest.raises(SettingError, match=exactly(sentence)):
        make_source("text", {"context": context})


def loader(text: Path, *, training: bool, batch_size: int = 7, **options) -> TextLoader:
    dataset, split = load_text(text, 8, 0.1)
    if training:
        options["augmentation"] = dataset.augmentation
    images = split.train if training else split.test
    found = loader_of(dataset, images, batch_size, Machine(CPU, "fp32"), **options)
    assert isinstance(found, TextLoader)
    return found


def test_the_test_part_is_read_whole_and_in_order(text):
    test = loader(text, training=False)
    assert (test.images, test.sizes(), len(test)) == (13, [7, 6], 2)
    read = list(test.in_order())
    x, y = (torch.cat(part) for part in zip(*read, strict=True))
    content = text.read_bytes()[900:]
    assert x[y != UNSCORED].tolist() == list(content[:-1])
    assert y[y != UNSCORED].tolist() == list(content[1:])


def test_an_epoch_has_every_window_once_moved_by_the_seed(text):
    train = loader(text, training=True, seed=3)
    own = train.source.text
    for epoch in (0, 1):
        x, y = (torch.cat(part) for part in zip(*train.epoch(epoch), strict=True))
        ids = torch.arange(train.images)
        starts = (ids * 8 + shifts(ids, 3, epoch, 8)).clamp_max(len(own) - 9)
        wanted = {tuple(own[start : start + 9].tolist()) for start in starts.tolist()}
        assert {(*a, *b[-1:]) for a, b in zip(x.tolist(), y.tolist(), strict=True)} == wanted
        assert torch.equal(x[:, 1:], y[:, :-1])
        assert int(y.min()) >= 0
    first, again, other = (
        next(loader(text, training=True, seed=seed).epoch(epoch))[0] for seed, epoch in ((3, 0), (3, 0), (3, 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_epoch_goes_on_where_it_was_stopped_and_is_shared_out(text):
    whole = list(loader(text, training=True, seed=3).epoch(2))
    for (x, y), (a, b) in zip(loader(text, training=True, seed=3).epoch(2, 5), whole[5:], strict=True):
        assert torch.equal(x, a)
        assert torch.equal(y, b)
    dataset, split = load_text(text, 8, 0.1)
    options = {"batch_size": 7, "device": CPU, "augmentation": dataset.augmentation, "seed": 3}
    parts = [list(TextLoader(dataset, split.train, **options, part=(rank, 2)).epoch(2)) for rank in (0, 1)]
    for (a, _), (b, _), (x, _) in zip(*parts, whole, strict=True):
        assert torch.equal(torch.cat([a, b]), x)


def test_windows_are_moved_by_every_number_below_their_length():
    moved = shifts(torch.arange(4000), 0, 0, 16)
    assert torch.bincount(moved, minlength=16).min() > 180
    assert moved.max() == 15
