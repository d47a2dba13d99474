"""Runs that are made longer: what is trained stays, and the rest has the schedule of the longer run, to the bit."""

import functools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import foldnet
from foldnet.data.images import load_digits
from foldnet.data.sources import Digits
from foldnet.errors import RunError, SettingError
from foldnet.store.files import write_json
from foldnet.store.seals import sealed
from foldnet.store.tensors import load_tensors, save_tensors
from foldnet.training.begin import keep_length
from foldnet.training.checkpoint import load_coefficients, read_metrics
from foldnet.training.observer import Silent, Stopped
from foldnet.training.runs import lengthened, open_run
from foldnet.training.session import Course
from foldnet.verbs.train import read_report

TINY = {"arch": "swrn-16-1-2", "epochs": 2, "batch_size": 32, "validation": 30, "precision": "fp32", "device": "cpu"}
STEPS = 3  # of an epoch: 70 images in batches of 32
GRIDS = {"arch": "cnn-2-4", "epochs": 2, "examples": 32, "test_examples": 8, "precision": "fp32", "device": "cpu"}
TIMES = ("seconds", "images_per_second", "waited")
train = functools.partial(foldnet.train, checkpoint_every=0)
longer = functools.partial(train, resume=True, epochs=4)


class Noting(Silent):
    """Keeps the notes; asks for the end, or is killed, at the step of that number."""

    def __init__(self, *, stop: int | None = None, kill: int | None = None):
        self.notes, self.stop, self.kill, self.steps = [], stop, kill, 0

    def begin(self, task, total, part=0, parts=1):
        self.training = task.startswith("epoch")

    def advance(self, steps=1):
        self.steps += steps if self.training else 0
        if self.training and self.steps == self.kill:
            raise KeyboardInterrupt

    def note(self, sentence):
        self.notes.append(sentence)

    def wants_stop(self):
        return self.stop is not None and self.steps >= self.stop


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture(scope="module")
def few():
    """100 training and 20 test images."""
    digits = load_digits()
    return replace(digits, train=digits.train.take(torch.arange(100)), test=digits.test.take(torch.arange(20)))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, few) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Digits, "images", lambda *args, **options: few)
    return tmp_path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, few) -> Path:
    """short, which has its 2 epochs; long, which was then lengthened to 4; and half, stopped in the second of 2."""
    home = tmp_path_factory.mktemp("lengthened")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Digits, "images", lambda *args, **options: few)
        train(out=home / "short", **TINY)
        shutil.copytree(home / "short", home / "long")
        longer(out=home / "long")
        with pytest.raises(Stopped):
            train(out=home / "half", observer=Noting(stop=STEPS + 1), **TINY)
    return home


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def history_of(folder: Path) -> list[dict]:
    return [{key: value for key, value in line.items() if key not in TIMES} for line in read_metrics(folder)]


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def assert_same_run(one: Path, two: Path) -> None:
    """Weights, momenta, coefficients and metrics alike, bit by bit."""
    assert sorted(content_of(one)) == sorted(content_of(two))
    assert history_of(one) == history_of(two)
    for name in ("last/checkpoint.safetensors", "best/checkpoint.safetensors", "coefficients.safetensors"):
        ours, theirs = load_tensors(one / name).tensors, load_tensors(two / name).tensors
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    for key in ("settings", "lengthened"):
        assert config_of(one)[key] == config_of(two)[key]
    assert read_report(one).test_right == read_report(two).test_right


def test_a_finished_run_goes_on_by_the_schedule_of_the_longer_one(shelf, place):
    shutil.copytree(shelf / "short", place / "run")
    observer = Noting()
    report = longer(out="run", observer=observer)
    assert observer.notes == [
        "run 'run' had 2 epochs and now has 4; from epoch 3 on it follows the schedule of 4 (learning rate 0.02)"
    ]
    assert (report.epochs, read_report(Path("run")).epochs, open_run(Path("run")).load()[1].epoch) == (4, 4, 4)
    assert history_of(place / "run")[:2] == history_of(shelf / "short")
    rates = [Course(length, 0.1, 0).rate(epoch) for epoch, length in ((0, 2), (1, 2), (2, 4), (3, 4))]
    assert [line["lr"] for line in read_metrics(place / "run")] == rates
    for name, rows in load_coefficients(place / "run").items():
        assert rows.shape == (5, *rows.shape[1:])
        assert torch.equal(rows[:3], load_coefficients(shelf / "short")[name])
    assert_same_run(place / "run", shelf / "long")


def test_the_config_keeps_what_the_run_was_and_stays_sealed(shelf):
    config = config_of(shelf / "long")
    assert config == sealed(config)
    assert config["lengthened"] == [[2, 2]]  # its first 2 epochs are those of a run of 2
    assert config["settings"]["epochs"] == 4
    before = config_of(shelf / "short")
    assert {key for key in before if config[key] != before[key]} == {"settings", "sha256"}
    assert open_run(shelf / "long").identity == open_run(shelf / "short").identity
    assert open_run(shelf / "long").lengthened == ((2, 2),)


@pytest.mark.parametrize(("kill", "again"), [(0, {}), (2, {"epochs": 4}), (STEPS, {"epochs": 4}), (STEPS + 2, {})])
def test_lengthened_killed_and_resumed_is_lengthened_at_once(shelf, place, kill, again):
    shutil.copytree(shelf / "short", place / "run")
    with pytest.raises(KeyboardInterrupt):
        longer(out="run", observer=Noting(kill=kill))
    assert not (place / "run/report.json").exists()  # which would say that it is finished
    observer = Noting()
    train(out="run", resume=True, observer=observer, **again)
    assert observer.notes == []
    assert_same_run(place / "run", shelf / "long")


def test_killed_before_its_config_is_written_it_is_the_run_that_it_was(shelf, place, monkeypatch):
    shutil.copytree(shelf / "short", place / "run")
    with monkeypatch.context() as patch:
        patch.setattr("foldnet.training.begin.write_json", lambda *content: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            longer(out="run")
    shutil.copytree(place / "run", place / "other")
    assert train(out="run", resume=True).epochs == 2
    assert read_report(place / "run").test_right == read_report(shelf / "short").test_right
    longer(out="other")
    assert_same_run(place / "other", shelf / "long")


def test_an_epoch_under_way_ends_as_it_began(shelf, place):
    shutil.copytree(shelf / "half", place / "run")
    observer = Noting(stop=1)
    with pytest.raises(Stopped):  # still in the second epoch
        longer(out="run", observer=observer)
    assert observer.notes == [
        "run 'run' had 2 epochs and now has 4; from epoch 3 on it follows the schedule of 4 (learning rate 0.02)"
    ]
    assert config_of(place / "run")["lengthened"] == [[2, 2]]
    train(out="run", resume=True)
    assert_same_run(place / "run", shelf / "long")


def test_a_run_is_lengthened_again_and_again(shelf, place):
    shutil.copytree(shelf / "long", place / "run")
    train(out="run", resume=True, epochs=5)
    assert config_of(place / "run")["lengthened"] == [[2, 2], [4, 4]]
    with pytest.raises(KeyboardInterrupt):
        train(out="run", resume=True, epochs=6, observer=Noting(kill=1))
    with pytest.raises(KeyboardInterrupt):
        train(out="run", resume=True, epochs=7, observer=Noting(kill=1))
    assert config_of(place / "run")["lengthened"] == [[2, 2], [4, 4], [5, 5], [5, 6]]
    report = train(out="run", resume=True, epochs=7)
    rates = [line["lr"] for line in read_metrics(place / "run")]
    assert rates[4:] == [Course(5, 0.1, 0).rate(4), Course(7, 0.1, 0).rate(5), Course(7, 0.1, 0).rate(6)]
    assert report.epochs == 7


def test_a_run_that_has_not_begun_is_simply_longer(shelf, place):
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Noting(kill=1), **TINY)
    longer(out="run")
    train(out="other", **TINY | {"epochs": 4})
    assert config_of(place / "run")["lengthened"] == [[0, 2]]
    assert history_of(place / "run") == history_of(place / "other")


def test_fewer_epochs_are_refused_and_as_many_change_nothing(shelf, place):
    (place / "short.toml").write_text("epochs = 3\n")
    before = content_of(shelf / "long")
    ending = "which has 4 epochs and can only be given more; leave it out, or start another run with `out`"
    sentence = f"`epochs=3` contradicts run '{shelf / 'long'}', {ending}"
    with pytest.raises(SettingError, match=exactly(sentence)):
        train(out=shelf / "long", resume=True, epochs=3)
    sentence = f"'short.toml' with epochs = 3 contradicts run '{shelf / 'long'}', {ending}"
    with pytest.raises(SettingError, match=exactly(sentence)):
        train(out=shelf / "long", resume=True, config=Path("short.toml"))
    with pytest.raises(SettingError, match=exactly("`epochs=10001` is not legal; give a whole number from 1 to 10000")):
        train(out=shelf / "long", resume=True, epochs=10_001)
    assert longer(out=shelf / "long").epochs == 4
    assert content_of(shelf / "long") == before


def test_the_command_line_says_so_in_its_own_words(cli, shelf, place):
    shutil.copytree(shelf / "short", place / "run")
    said = cli.refused("train", "--out", "run", "--resume", "--epochs", 1)
    assert said == (
        "--epochs 1 contradicts run 'run', which has 2 epochs and can only be given more; "
        "leave it out, or start another run with --out"
    )
    report = cli.done("train", "--out", "run", "--resume", "--epochs", 3)
    assert (report["epochs"], report["lengthened"]) == (3, [[2, 2]])
    shown = cli("train", "--out", "run", "--resume").out
    assert "trained          3 epochs (lengthened after 2) on digits, seed 0, fp32\n" in shown


def test_info_tells_of_it(cli, shelf):
    assert re.search(
        r"^epochs +4 of 4\nlengthened +after epoch 2; until then a run of 2$",
        cli("info", shelf / "long").out,
        re.MULTILINE,
    )
    assert cli.done("info", shelf / "long")["trained"]["lengthened"] == [[2, 2]]
    assert cli.done("info", shelf / "short")["trained"]["lengthened"] == []
    assert "lengthened" not in cli("info", shelf / "short").out.replace(str(shelf), "")


def test_what_cannot_go_on_is_not_made_longer(shelf, place):
    shutil.copytree(shelf / "short", place / "run")
    (place / "run/metrics.jsonl").write_text("")
    before = content_of(place / "run")
    with pytest.raises(RunError, match=r"^'run/metrics\.jsonl' "):
        longer(out="run")
    with pytest.raises(SettingError):
        longer(out="run", device="cuda:99")
    assert content_of(place / "run") == before


def test_a_fold_of_the_shorter_run_says_that_it_is_of_another_checkpoint(shelf, place):
    shutil.copytree(shelf / "short", place / "run")
    foldnet.fold("run", threshold=0.0, evaluated=False, shares=False, out="run/fold")
    assert not [note for note in foldnet.verify("run/fold", images=1).notes if "is not the one that was folded" in note]
    longer(out="run")
    certificate = foldnet.verify("run/fold", images=1)
    said = "checkpoint 'last' of run 'run' is not the one that was folded (its digest differs): "
    assert [note for note in certificate.notes if note.startswith(said)]
    assert certificate.passed is None


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({"dataset": "paths", "grid": 6, "windows": (3, 5), "validation": 8}, "learning rate 0.01, phase 2 of 2"),
        ({"dataset": "mazes", "size": 5, "validation": 0}, "learning rate 0.01"),
    ],
)
def test_curricula_are_lengthened_too(place, options, rate):
    train(out="short", **GRIDS | options)
    for name in ("run", "other"):
        shutil.copytree(place / "short", place / name)
    observer = Noting(kill=1)
    with pytest.raises(KeyboardInterrupt):
        longer(out="run", observer=observer)
    assert observer.notes == [
        f"run 'run' had 2 epochs and now has 4; from epoch 3 on it follows the schedule of 4 ({rate})"
    ]
    train(out="run", resume=True)
    longer(out="other")
    assert history_of(place / "run") == history_of(place / "other")
    assert config_of(place / "run")["lengthened"] == [[2, 2]]
    assert len(read_metrics(place / "run")) == 4


def test_a_run_of_0_1_stays_unsealed(shelf, place):
    shutil.copytree(shelf / "short", place / "run")
    config = {key: value for key, value in config_of(place / "run").items() if key != "sha256"}
    write_json(place / "run/config.json", config | {"schema": 1})
    for name in ("last", "best"):
        old = load_tensors(file := place / "run" / name / "checkpoint.safetensors")
        save_tensors(file, old.tensors, {key: old.metadata[key] for key in old.metadata if key != "seal"})
    (place / "run/report.json").unlink()
    with pytest.warns(foldnet.errors.FoldnetWarning, match="has no seal"):
        assert longer(out="run").epochs == 4
    assert "sha256" not in config_of(place / "run")
    assert history_of(place / "run") == history_of(shelf / "long")


def test_a_follower_reads_the_same_before_and_after_the_first_process_has_written(shelf, place):
    shutil.copytree(shelf / "short", place / "run")
    before = open_run(place / "run")
    asked = replace(before, settings=replace(before.settings, epochs=4))
    progress = before.load()[1]
    early = lengthened(asked, progress)
    keep_length(early, Silent())
    assert lengthened(asked, progress) == early
    assert open_run(place / "run") == early
