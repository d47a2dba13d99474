"""Training on pictures that stay in their files: the same batches as from memory, bit for bit."""

import os
import pickle
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from loading import load_dataset
from PIL import Image

from foldnet.data import batches as batching
from foldnet.data import folder
from foldnet.data.batches import Loader
from foldnet.data.pictures import Pictures, decode, pictures_of
from foldnet.errors import DataError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """(in memory, in files): 11 training pictures of two classes."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for part, counts in (("train", (5, 6)), ("test", (2, 3))):
        for kind, count in zip(("cat", "dög"), counts, strict=True):
            (root / part / kind).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (20 + number, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / kind / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        kept = load_dataset("folder", data_dir=root, image_size=16)
        patch.setattr(folder, "memory_bytes", lambda: (0, 0))
        return kept, load_dataset("folder", data_dir=root, image_size=16)


def walk(dataset, walker, **options):
    """Every batch of an epoch or in order."""
    loader = Loader(dataset, dataset.train, batch_size=4, device=CPU, **options)
    return list(walker(loader))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("part", [(0, 1), (1, 3)])
@pytest.mark.parametrize("start", [0, 1])
def test_batches_are_those_from_memory(datasets, workers, part, start):
    kept, left = datasets
    options = {"augmentation": kept.augmentation, "seed": 3, "part": part}
    for walker, count in ((lambda loader: loader.epoch(2, start), 3 - start), (lambda loader: loader.in_order(), 3)):
        expected = walk(kept, walker, **options)
        found = walk(left, walker, workers=workers, **options)
        assert len(found) == len(expected) == count
        for (x, y), (x0, y0) in zip(found, expected, strict=True):
            assert torch.equal(x, x0)
            assert torch.equal(y, y0)
            assert x.is_contiguous(memory_format=torch.channels_last)


def test_random_states_stay_as_they_are(datasets):
    random = torch.get_rng_state()
    walk(datasets[1], lambda loader: loader.epoch(0), workers=1)
    assert torch.equal(torch.get_rng_state(), random)


def test_images_that_a_gpu_has_no_room_for_are_read_by_workers(datasets, monkeypatch):
    kept, _ = datasets
    expected = walk(kept, lambda loader: loader.epoch(1), augmentation=kept.augmentation)
    monkeypatch.setattr(batching, "_has_room", lambda device, count: False)
    found = walk(kept, lambda loader: loader.epoch(1), augmentation=kept.augmentation, workers=1)
    assert all(torch.equal(x, x0) for (x, _), (x0, _) in zip(found, expected, strict=True))


def test_a_gpu_has_room_for_a_quarter_of_its_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4000, 8000))
    assert batching._has_room(torch.device("cuda"), 1000)
    assert not batching._has_room(torch.device("cuda"), 1001)
    assert batching._has_room(CPU, 1 << 60)


def test_a_picture_that_is_lost_in_the_meantime_is_named(datasets, tmp_path):
    _, left = datasets
    path = tmp_path / "gone.png"
    pictures = pictures_of([(str(path), 0)] * 2, 16)
    loader = Loader(left, pictures, batch_size=2, device=CPU, workers=1)
    sentence = f"^'{path}' can't be read as a picture \\(.*No such file.*\\); mend or remove it$"
    with pytest.raises(DataError, match=sentence):
        list(loader.in_order())


def test_some_pictures_keep_their_ids_and_travel_to_other_processes(datasets):
    _, left = datasets
    some = left.train.take(torch.tensor([7, 2]))
    assert isinstance(some, Pictures)
    assert (len(some), some.shape, some.ids.tolist(), some.labels.tolist()) == (2, (2, 3, 16, 16), [7, 2], [1, 0])
    assert torch.equal(some.read([1, 0]), left.train.read([2, 7]))
    again = pickle.loads(pickle.dumps(some))  # noqa: S301 (as worker processes get them where they cannot be forked)
    assert torch.equal(again.read([0]), some.read([0]))


def test_names_in_no_encoding_are_kept(tmp_path):
    name = os.fsdecode(b"/some/\xff\xc3\xb6.png")
    assert os.fsdecode(pictures_of([(name, 0), ("/a.png", 1)], 16).files[0]) == name


def test_a_pipe_among_the_pictures_is_not_waited_for(tmp_path):
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    said = (
        f"'{pipe}' can't be read as a picture (is a named pipe and not a plain file; put one there); mend or remove it"
    )
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        decode(str(pipe), 8)


@pytest.mark.parametrize(
    ("width", "said"), [(13_000, "it has 13,000x13,000 pixels and 67,108,864 are the most"), (60_000, "Image size ")]
)
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, width, said):
    header = struct.pack(">II5B", width, width, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    content = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(DataError, match=re.escape(f"can't be read as a picture ({said}")):
        decode(str(tmp_path / "a.png"), 8)


def test_no_format_is_read_that_starts_programs(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(DataError, match="cannot identify image file"):
        decode(str(tmp_path / "a.png"), 8)
