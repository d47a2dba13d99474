"""That progress is shown where a person looks, without being asked, and nowhere else."""

import inspect
import os
import pty
import re
import sys
import threading
import types
from contextlib import contextmanager, suppress

import pytest
from rich.console import Console

import foldnet
from foldnet.show.progress import Watcher, epoch_line, watched, watcher
from foldnet.training.machine import World
from foldnet.training.observer import Silent

# What a terminal is told that is no text: colours, and where the cursor goes.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
METRICS = {
    "epoch": 3,
    "train_loss": 0.25,
    "train_accuracy": 0.5,
    "validation_accuracy": None,
    "similarity": None,
    "images_per_second": 1234.5,
    "waited": 0.0,
    "measure": "accuracy",
    "unit": "images",
    "scores": {"train": "50.0 %"},
    "course": "epoch",
}
LINE = "epoch   3  loss 0.2500  train  50.0 %  0 s  1,234 img/s"


@watched
def work(times=1, *, observer=None, world=None):
    """Something that takes a while."""
    observer = observer or Silent()
    for part in range(times):
        observer.begin(f"epoch {part + 1}/{times}", 4, part, times)
        observer.advance(4)
        observer.end()
        observer.epoch(METRICS)
    observer.note("run 'a\x1b[2J' is \\x1b harmless")
    return type(observer)


@contextmanager
def terminal(monkeypatch, seen):
    """stderr is a terminal; what it is told is in `seen` afterwards, as text."""
    master, slave = pty.openpty()
    told = []
    reader = threading.Thread(target=_read, args=(master, told))
    reader.start()
    try:
        with open(slave, "w") as stderr, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", "100")
            yield
    finally:
        reader.join()
        os.close(master)
        seen.append(b"".join(told).decode())


def _read(master, told):
    """Read what a terminal is told to its end, which a terminal whose other side is closed says by an error."""
    with suppress(OSError):
        while part := os.read(master, 4096):
            told.append(part)


def ipython(monkeypatch, running=True):
    """IPython has been imported, and perhaps runs this process."""
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: object() if running else None
    monkeypatch.setitem(sys.modules, "IPython", module)


def test_an_epoch_is_timed_from_where_training_begins(monkeypatch, capsys):
    seconds = iter([0.0, 100.0, 103.0, 105.0])
    monkeypatch.setattr("foldnet.show.progress.time.perf_counter", lambda: next(seconds))
    watching = Watcher(Console(), None)
    for part in range(2):
        watching.begin(f"epoch {part + 1}/2", 4, part, 2)
        watching.epoch(METRICS)
    assert [re.search(r"\d+ s", line)[0] for line in capsys.readouterr().out.splitlines()] == ["3 s", "5 s"]


def test_on_a_terminal_there_is_a_bar_and_a_line_an_epoch(monkeypatch):
    seen = []
    with terminal(monkeypatch, seen):
        assert work(2) is Watcher
    text = CONTROL.sub("", seen[0])
    assert text.count(LINE) == 2
    assert "epoch 1/2 ━" in text
    assert " left " in text
    assert "run 'a\\x1b[2J' is \\x1b harmless" in text
    assert "\x1b[2J" not in seen[0]
    assert seen[0].count("\x1b[?25l") == seen[0].count("\x1b[?25h") == 1  # the cursor is back


def test_the_bar_goes_away_where_the_work_fails(monkeypatch):
    @watched
    def failing(observer=None):
        observer.begin("evaluate", 4)
        raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt), terminal(monkeypatch, seen):
        failing()
    assert seen[0].endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_in_a_notebook_there_are_lines(monkeypatch, capsys):
    ipython(monkeypatch)
    assert work(2) is Watcher
    assert capsys.readouterr().err == f"{LINE}\n{LINE}\nrun 'a\\x1b[2J' is \\x1b harmless\n"


def test_elsewhere_there_is_nothing(monkeypatch, capsys):
    assert work() is Silent
    ipython(monkeypatch, running=False)  # imported by something else
    assert work() is Silent
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    assert work() is Silent
    assert capsys.readouterr() == ("", "")


def test_an_observer_that_is_given_is_the_only_one(monkeypatch, capsys):
    class Own(Silent):
        pass

    ipython(monkeypatch)
    seen = []
    with terminal(monkeypatch, seen):
        assert work(observer=Silent()) is Silent
        assert work(observer=Own()) is Own
    assert seen == [""]
    assert capsys.readouterr() == ("", "")


def test_of_several_processes_the_first_is_watched(monkeypatch, capsys):
    ipython(monkeypatch)
    assert work(world=World(1, 2)) is Silent
    assert capsys.readouterr().err == ""
    assert work(world=World(0, 2)) is Watcher


def test_a_long_note_keeps_to_80_columns_where_there_is_no_terminal(monkeypatch, capsys):
    ipython(monkeypatch)
    with watcher() as observer:
        observer.note("word " * 40)
        observer.begin("sweep by layer", 12)
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "sweep by layer: 12 steps"


def test_the_lines_are_those_of_the_command_line(monkeypatch, capsys):
    from foldnet_cli.guard import watching

    with watching() as observer:
        observer.epoch(METRICS)
    assert capsys.readouterr().err == f"{epoch_line(METRICS, 0)}\n"
    ipython(monkeypatch)
    with watcher() as observer:
        observer.epoch(METRICS)
    assert capsys.readouterr().err == f"{epoch_line(METRICS, 0)}\n"


@pytest.mark.parametrize("name", ["evaluate", "fold", "reach", "sweep", "train", "verify"])
def test_every_public_verb_with_an_observer_is_watched(name):
    function = getattr(foldnet, name)
    assert "observer" in inspect.signature(function).parameters
    around = [function]  # decorators, the outermost first
    while hasattr(around[-1], "__wrapped__"):
        around.append(around[-1].__wrapped__)
    assert work.__code__ in [one.__code__ for one in around]


def test_a_network_is_evaluated_before_the_eyes_of_who_looks(shelf, monkeypatch, capsys):
    seen = []
    with terminal(monkeypatch, seen):
        foldnet.evaluate("runs/plain", device="cpu")
    assert "evaluate ━" in CONTROL.sub("", seen[0])
    foldnet.evaluate("runs/plain", device="cpu")
    assert capsys.readouterr() == ("", "")


def test_training_says_each_epoch_in_a_notebook(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ipython(monkeypatch)
    options = {"dataset": "mazes", "size": 5, "arch": "cnn-2-4", "examples": 32, "test_examples": 8, "validation": 0}
    foldnet.train(out="run", epochs=1, device="cpu", precision="fp32", **options)
    line, *rest = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"epoch   1  loss \d\.\d{4}  train F1 \d\.\d{4}  .*", line)
    assert rest == []
    foldnet.train(out="run", epochs=2, resume=True, device="cpu", observer=Silent())
    assert capsys.readouterr() == ("", "")
