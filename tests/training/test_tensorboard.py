"""What TensorBoard is told is what metrics.jsonl says."""

import builtins
import re

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from foldnet.errors import MissingTool, OutputError
from foldnet.store.artifact import BOARD
from foldnet.training.checkpoint import read_metrics
from foldnet.training.observer import Silent
from foldnet.training.recorder import Board
from foldnet.verbs.train import train

SETTINGS = {"arch": "swrn-16-1-2", "epochs": 3, "batch_size": 256, "precision": "fp32", "device": "cpu"}


def numbers(line: dict) -> dict[str, float]:
    """A line of metrics as TensorBoard names it."""
    flat = {
        f"{name}/{part}": value
        for name, parts in line.items()
        if isinstance(parts, dict)
        for part, value in parts.items()
    }
    return flat | {name: value for name, value in line.items() if isinstance(value, int | float) and name != "epoch"}


class Killing(Silent):
    """Ends the process, as it were, once two epochs are over."""

    def epoch(self, metrics):
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt


def test_every_number_of_every_epoch_is_there_once_also_after_a_kill(tmp_path):
    with pytest.raises(KeyboardInterrupt):  # before any checkpoint: both epochs are trained again
        train(out=tmp_path / "run", tensorboard=True, observer=Killing(), checkpoint_every=1000, **SETTINGS)
    train(out=tmp_path / "run", resume=True)  # goes on as it began
    events = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    lines = read_metrics(tmp_path / "run")
    assert sorted(events.Tags()["scalars"]) == sorted(numbers(lines[0]))
    for name in numbers(lines[0]):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(line["epoch"], pytest.approx(numbers(line)[name], rel=1e-6)) for line in lines]


def test_without_the_package_a_sentence_names_the_extra(tmp_path, monkeypatch):
    ordinary = builtins.__import__

    def refuse(name, *rest):
        if name == "torch.utils.tensorboard":
            raise ImportError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    sentence = "`tensorboard=True` needs the package tensorboard; install it with `pip install 'foldnet[tensorboard]'`"
    with pytest.raises(MissingTool, match=f"^{re.escape(sentence)}$"):
        train(out=tmp_path / "run", tensorboard=True, **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_events_are_written_through_no_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / BOARD).symlink_to("../elsewhere")
    with pytest.raises(OutputError, match="is a link and foldnet writes through none inside a run"):
        Board(tmp_path / "run", 0)
    assert list((tmp_path / "elsewhere").iterdir()) == []
