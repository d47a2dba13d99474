"""Training on a user's own pictures: whether they fit in memory makes no difference to the result."""

import json

import numpy as np
import pytest
from loading import load_dataset
from PIL import Image

from foldnet.data import folder
from foldnet.data.dataset import Images
from foldnet.data.pictures import Pictures
from foldnet.errors import DataError, RunError
from foldnet.store.seals import sealed
from foldnet.training.checkpoint import FILE
from foldnet.verbs.evaluate import evaluate
from foldnet.verbs.train import train

SETTINGS = {"dataset": "folder", "image_size": 8, "epochs": 2, "batch_size": 4, "validation": 2, "precision": "fp32"}


@pytest.fixture
def pictures(tmp_path):
    """12 training and 4 test pictures of two classes."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 2)):
        for kind in ("cat", "dog"):
            (tmp_path / "pictures" / part / kind).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pictures" / part / kind / f"{number}.png")
    return tmp_path / "pictures"


def test_a_run_is_the_same_whether_the_pictures_fit_in_memory_or_not(pictures, tmp_path, monkeypatch):
    settings = SETTINGS | {"arch": "swrn-16-1-1", "dropout": 0.2, "device": "cpu", "data_dir": str(pictures)}
    reports, kinds = [], []
    for name, memory in (("kept", (1 << 40, 1 << 40)), ("left", (0, 0))):
        monkeypatch.setattr(folder, "memory_bytes", lambda memory=memory: memory)
        kinds.append(type(load_dataset("folder", data_dir=pictures, image_size=8).train))
        reports.append(train(out=tmp_path / name, **settings))
    assert kinds == [Images, Pictures]
    kept, left = ((tmp_path / name / "last" / FILE).read_bytes() for name in ("kept", "left"))
    # The header says how long the training took, in more or fewer digits.
    kept, left = (content[8 + int.from_bytes(content[:8], "little") :] for content in (kept, left))
    assert kept == left
    assert reports[0].test_accuracy == reports[1].test_accuracy
    scores = [evaluate(tmp_path / name, data_dir=pictures).accuracy for name in ("left", "kept")]
    assert scores == [reports[0].test_accuracy] * 2
    for part in ("train", "test"):
        (pictures / part / "dog").rename(pictures / part / "eel")
    with pytest.raises(
        RunError, match=r"^the data are not those that run '.*' was trained on \(their hash differs\); "
    ):
        evaluate(tmp_path / "kept", data_dir=pictures)


def test_a_run_keeps_no_path_to_its_data_and_obeys_none(pictures, tmp_path):
    out = tmp_path / "run"
    train(out=out, arch="wrn-10-1", device="cpu", data_dir=str(pictures), **SETTINGS | {"epochs": 1})
    for file in out.rglob("*"):
        assert not file.is_file() or str(pictures).encode() not in file.read_bytes(), file
    said = r"^`dataset='folder'` needs `data_dir`, a folder that holds train/CLASS and test/CLASS$"
    with pytest.raises(DataError, match=said):
        evaluate(out)
    # What an earlier version or a stranger wrote there names nothing either.
    config = json.loads((out / "config.json").read_text())
    config["settings"]["data_dir"] = str(pictures)
    (out / "config.json").write_text(json.dumps(sealed(config)))
    with pytest.raises(DataError, match=said):
        evaluate(out)
    assert evaluate(out, data_dir=pictures).images == 4
