"""Training as a recipe: what a run folder holds, and that a stopped training goes on as if it never had."""

import errno
import functools
import json
import math
import os
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from foldnet.bounds import BOUNDS
from foldnet.data.dataset import Dataset
from foldnet.data.images import load_digits
from foldnet.data.sources import Digits
from foldnet.errors import MissingTool, OutputError, RunError, SettingError, TrainingDiverged, UnknownName
from foldnet.store.lock import UNFINISHED
from foldnet.store.tensors import load_tensors
from foldnet.training import begin
from foldnet.training import checkpoint as kept
from foldnet.training import learner as compiling
from foldnet.training import recorder as recording
from foldnet.training.checkpoint import FILE, load_coefficients, read_metrics
from foldnet.training.learner import build_optimiser
from foldnet.training.machine import choose_machine
from foldnet.training.observer import EpochMetrics, Silent, Stopped
from foldnet.training.runs import all_runs, newest_run, open_run
from foldnet.training.session import Course, Session
from foldnet.verbs import train as recipe
from foldnet.verbs.train import TrainReport, read_report

EPOCHS = 3
# Dropout, so that random numbers matter to the steps too.
TINY = {
    "arch": "swrn-16-1-2",
    "epochs": EPOCHS,
    "batch_size": 32,
    "validation": 60,
    "lr": 0.05,
    "dropout": 0.2,
    "precision": "fp32",
    "seed": 3,
    "recurrence_form": "mean",
}
STEPS = 5  # of an epoch: 140 images in batches of 32
TIMES = ("seconds", "images_per_second", "waited")
SEALS = ("seal", "identity", "sha256")  # of a run, which was made at a time of its own
# These few epochs are over before the first checkpoint is due by time.
train = functools.partial(recipe.train, checkpoint_every=0)


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def few_digits() -> Dataset:
    """200 training and 50 test images."""
    digits = load_digits()
    return replace(digits, train=digits.train.take(torch.arange(200)), test=digits.test.take(torch.arange(50)))


@pytest.fixture(scope="module")
def few() -> Dataset:
    return few_digits()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, few) -> Path:
    """An empty working directory, and few data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Digits, "images", lambda *args, **options: few)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, few) -> Path:
    """The folder of a training that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Digits, "images", lambda *args, **options: few)
        train(out=folder, **TINY)
    return folder


def without(line: dict, *names: str) -> dict:
    return {name: value for name, value in line.items() if name not in names}


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def content_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_of(folder) if (folder / name).is_file()}


def assert_same_tensors(one: Path, two: Path) -> None:
    first, second = load_tensors(one), load_tensors(two)
    assert list(first.tensors) == list(second.tensors)
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[name]), name
    assert without(first.metadata, *TIMES, *SEALS) == without(second.metadata, *TIMES, *SEALS)


def assert_same_run(one: Path, two: Path) -> None:
    """Every file alike, bit by bit, times and places apart."""
    assert files_of(one) == files_of(two)
    for name in files_of(one):
        if name.endswith(".safetensors"):
            assert_same_tensors(one / name, two / name)
    lines = [[without(line, *TIMES) for line in read_metrics(folder)] for folder in (one, two)]
    assert lines[0] == lines[1]
    for name, apart in (("config.json", ("created", *SEALS)), ("report.json", ("run", *TIMES, *SEALS))):
        facts = [without(json.loads((folder / name).read_text()), *apart) for folder in (one, two)]
        assert facts[0] == facts[1]


class Stopping(Silent):
    """Counts what an observer is told, and raises KeyboardInterrupt at one such event."""

    def __init__(self, event: str, number: int):
        self.event, self.left = event, number

    def _told(self, event: str) -> None:
        if event == self.event:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1

    def begin(self, task, total, part=0, parts=1):
        self._told(task.split()[0])

    def advance(self, steps=1):
        self._told("advance")

    def epoch(self, metrics):
        self._told("metrics")


def interrupted(name: str, number: int):
    """One of the functions that write, which does not come back from its call of that number."""
    function, calls = getattr(kept if hasattr(kept, name) else recipe, name), []

    def call(*args, **options):
        calls.append(args)
        if len(calls) > number:
            raise KeyboardInterrupt
        return function(*args, **options)

    return call


def test_a_run_folder_holds_everything(whole, few):
    run = open_run(whole)
    assert files_of(whole) == [
        "best",
        "best/checkpoint.safetensors",
        "coefficients.safetensors",
        "config.json",
        "last",
        "last/checkpoint.safetensors",
        "metrics.jsonl",
        "progress.json",
        "report.json",
    ]
    config = json.loads((whole / "config.json").read_text())
    assert set(config) == {
        "schema", "kind", "created", "settings", "network", "precision", "split_hash", "machine", "scaling", "sha256"
    }  # fmt: skip
    assert set(config["machine"]) == {
        "foldnet", "torch", "python", "platform", "device", "processor", "threads", "features"
    }  # fmt: skip
    assert {name: config["settings"][name] for name in TINY} == TINY
    assert config["settings"]["recurrence"] == 0.5  # the digits' preset for soft networks
    assert config["network"] == {"classes": 10, "channels": 1, "size": 8}
    assert (config["schema"], config["kind"], config["precision"]) == (3, "run", "fp32")
    assert re.fullmatch(r"[0-9a-f]{64}", run.split_hash)


def test_metrics_and_the_history_of_coefficients_have_a_row_an_epoch(whole):
    lines = read_metrics(whole)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["lr"] for line in lines] == pytest.approx([0.05, 0.01, 0.002])
    for line in lines:
        similarity = line.pop("similarity")
        assert list(similarity) == ["stage1", "stage2", "stage3"]
        assert all(isinstance(value, int | float) and math.isfinite(value) for value in line.values())
    model, progress = open_run(whole).load()
    history = load_coefficients(whole)
    assert list(history) == ["stage1", "stage2", "stage3"]
    for name, rows in history.items():
        assert rows.shape == (EPOCHS + 1, 2, 2)
        torch.testing.assert_close(rows[0] @ rows[0].T, torch.eye(2))  # orthogonal before training
        assert torch.equal(rows[-1], model.sources[name].coefficients)
        alike = torch.nn.functional.cosine_similarity(*rows[-1].double(), dim=0).abs().item()
        assert read_metrics(whole)[-1]["similarity"][name] == pytest.approx(alike)
    assert progress.epoch == EPOCHS


def test_the_best_epoch_is_the_first_of_the_best_by_validation(whole):
    accuracies = [line["validation_accuracy"] for line in read_metrics(whole)]
    best = open_run(whole).load("best")[1]
    assert (best.best_score, best.best_epoch) == (max(accuracies), accuracies.index(max(accuracies)) + 1)
    assert best.epoch == best.best_epoch


def test_the_first_of_equally_good_epochs_stays_the_best(whole, place):
    shutil.copytree(whole, place / "run")
    run = open_run(place / "run")
    model, _ = run.load()
    session = Session(
        model=model,
        optimiser=build_optimiser(model, lr=0.1, momentum=0.9, weight_decay=0.0),
        machine=choose_machine("cpu", "fp32"),
        train=None,
        course=Course(4, 0.1, 0),
    )
    recorder = recording.Recorder(replace(run, settings=replace(run.settings, epochs=4)), session, every=0)
    seen = []
    for epoch, accuracy in enumerate([0.5, 0.75, 0.75, 0.25], 1):
        recorder.after_epoch(EpochMetrics(epoch, 0.1, 1.0, 0.5, None, None, 1.0, accuracy, 1.0, 1.0, 0.0))
        seen.append((recorder.progress.best_score, recorder.progress.best_epoch))
    assert seen == [(0.5, 1), (0.75, 2), (0.75, 2), (0.75, 2)]
    assert recorder.progress.seconds == 4
    assert open_run(place / "run").load("best")[1].epoch == 2
    assert open_run(place / "run").load("last")[1].epoch == 4


def test_the_report_is_that_of_the_last_weights_on_the_test_set(whole, few):
    report = read_report(whole)
    model, progress = open_run(whole).load()
    assert not model.training
    x = (few.test.pixels.float() / 16 - few.mean[0]) / few.std[0]
    with torch.no_grad():
        right = int((model(x).argmax(1) == few.test.labels).sum())
    assert (report.test_right, report.test_images, report.test_accuracy) == (right, 50, right / 50)
    assert report.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (report.epochs, report.seed, report.arch, report.dataset) == (3, 3, "swrn-16-1-2", "digits")
    assert (report.best_validation_accuracy, report.best_epoch) == (progress.best_score, progress.best_epoch)
    assert report.seconds == pytest.approx(sum(line["seconds"] for line in read_metrics(whole)))
    assert (report.precision, report.device, report.run) == ("fp32", "cpu", str(whole))


def test_one_seed_gives_one_training_and_another_another(whole, place):
    train(out="again", **TINY)
    assert_same_run(whole, place / "again")
    train(out="other", **TINY | {"seed": 4})
    ours, others = load_coefficients(whole), load_coefficients(place / "other")
    assert not torch.equal(ours["stage1"][0], others["stage1"][0])
    assert not torch.equal(ours["stage1"][-1], others["stage1"][-1])


@pytest.mark.parametrize(
    ("event", "number"),
    [
        ("epoch", 0),  # before the first step
        ("advance", 2),  # in the middle of the first epoch
        ("metrics", 0),  # after the first epoch, before anything of it was written
        ("epoch", 1),
        ("metrics", 1),
        ("advance", 2 * (STEPS + 2) + 3),  # in the middle of the third epoch, 2 batches of validation each
        ("evaluate", 2),  # the last validation
        ("evaluate", 3),  # the test
    ],
)
def test_a_stopped_training_goes_on_as_if_it_never_had(whole, place, event, number):
    torch.manual_seed(number)
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping(event, number), **TINY)
    assert not (place / "run/report.json").exists()
    torch.manual_seed(number + 100)
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


class Asking(Silent):
    """Asks for the end from an event of that number on."""

    def __init__(self, event: str, number: int):
        self.event, self.left = event, number

    def _told(self, event: str, steps: int = 1) -> None:
        if event == self.event:
            self.left -= steps

    def begin(self, task, total, part=0, parts=1):
        self._told(task.split()[0])

    def advance(self, steps=1):
        self._told("advance", steps)

    def wants_stop(self):
        return self.left < 0


@pytest.mark.parametrize(
    ("event", "number", "sentence"),
    [
        ("advance", 0, "stopped after step 1 of epoch 1"),
        ("advance", 2, "stopped after step 3 of epoch 1"),
        ("advance", STEPS - 1, f"stopped after step {STEPS} of epoch 1"),
        ("evaluate", 0, f"stopped after step {STEPS} of epoch 1"),  # in the first validation
        ("epoch", 2, "stopped after step 1 of epoch 3"),
        ("evaluate", 3, "stopped after epoch 3"),  # in the test
    ],
)
def test_a_training_that_is_asked_to_stop_saves_between_two_steps(whole, place, event, number, sentence):
    with pytest.raises(Stopped) as stopped:
        train(out="run", observer=Asking(event, number), checkpoint_every=1000, **TINY)
    assert str(stopped.value) == f"{sentence}, all of it saved; go on with `foldnet.train(resume=True, out='run')`"
    assert not (place / "run/lock.json").exists()
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_a_training_stopped_after_each_single_step_arrives_at_the_same_bits(whole, place):
    for _ in range(EPOCHS * STEPS):
        with pytest.raises(Stopped):
            train(out="run", resume=True, observer=Asking("advance", 0), **TINY)
        if read_metrics(place / "run"):
            break
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_checkpoints_are_made_at_most_as_often_as_is_asked_and_at_the_end(whole, place, monkeypatch):
    saved = []
    save = kept.save_checkpoint
    monkeypatch.setattr(
        kept,
        "save_checkpoint",
        lambda folder, *content: saved.append((folder.name, content[-2].epoch)) or save(folder, *content),
    )
    recipe.train(out="run", checkpoint_every=1000, **TINY)
    assert saved[-1] == ("last", EPOCHS)
    assert [name for name, _ in saved] in (["last"], ["best", "last"])
    assert_same_run(whole, place / "run")
    with pytest.raises(SettingError, match=exactly("`checkpoint_every=-1` is not legal; give a number of at least 0")):
        recipe.train(out="other", checkpoint_every=-1, **TINY)


def test_within_a_long_epoch_there_are_checkpoints_too(whole, place, monkeypatch):
    monkeypatch.setattr(recording, "WITHIN", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("advance", 3), **TINY)  # killed in the fourth step
    assert open_run(place / "run").load()[1].under_way.step == 2
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_a_folder_that_vanishes_is_one_sentence(place):
    class Removing(Silent):
        def epoch(self, metrics):
            shutil.rmtree("run")

    with pytest.raises(
        OutputError,
        match=exactly(
            "'run/metrics.jsonl' cannot be written (No such file or directory); free the place or choose another"
        ),
    ):
        train(out="run", observer=Removing(), **TINY)


def test_adam_and_a_constant_rate_go_on_too(place):
    options = TINY | {"optimiser": "adam", "schedule": "constant", "lr": 0.01}
    train(out="whole", **options)
    assert [line["lr"] for line in read_metrics(place / "whole")] == [0.01] * EPOCHS
    with pytest.raises(Stopped):
        train(out="run", observer=Asking("advance", 7), **options)
    train(out="run", resume=True)
    assert_same_run(place / "whole", place / "run")


@pytest.mark.parametrize("number", range(EPOCHS))
@pytest.mark.parametrize("function", ["append_metrics", "save_coefficients", "save_checkpoint"])
def test_a_training_killed_between_two_files_goes_on_as_if_it_never_had(whole, place, monkeypatch, function, number):
    with monkeypatch.context() as patch:
        writer = interrupted(function, number)
        patch.setattr(kept, function, writer)
        with pytest.raises(KeyboardInterrupt):
            train(out="run", **TINY)
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_a_training_killed_before_its_report_goes_on_too(whole, place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "write_json", interrupted("write_json", 0))
        with pytest.raises(KeyboardInterrupt):
            train(out="run", **TINY)
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_a_training_stopped_again_and_again_still_arrives(whole, place):
    for _ in range(EPOCHS):  # each goes one epoch further: the second epoch that it sees is cut short
        with pytest.raises(KeyboardInterrupt):
            train(out="run", resume=True, observer=Stopping("metrics", 1), **TINY)
        if len(read_metrics(place / "run")) == EPOCHS - 1:
            break
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_a_killed_writers_leftovers_are_swept(whole, place):
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 1), **TINY)
    for name in (".metrics.jsonl", "last/.checkpoint.safetensors", "best/.checkpoint.safetensors"):
        (place / "run" / f"{name}.a1b2c3d_{UNFINISHED}").write_bytes(b"half")
    (place / "run/.gitignore").write_text("*")
    train(out="run", resume=True)
    assert (place / "run/.gitignore").read_text() == "*"
    (place / "run/.gitignore").unlink()
    assert_same_run(whole, place / "run")


def test_without_momentum_it_goes_on_too(place):
    options = TINY | {"momentum": 0.0}
    train(out="whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 1), **options)
    train(out="run", resume=True)
    assert_same_run(place / "whole", place / "run")


@pytest.mark.parametrize("there", [False, True])
def test_resume_where_nothing_is_yet_starts(whole, place, there):
    if there:
        (place / "run").mkdir()
    said = []

    class Hearing(Silent):
        def note(self, sentence):
            said.append(sentence)

    train(out="run", resume=True, observer=Hearing(), **TINY)
    assert said[0] == "nothing to go on with at 'run'; starting a new run"
    assert_same_run(whole, place / "run")


def test_resume_without_a_place_takes_the_newest_run_or_makes_one(whole, place):
    made = train(resume=True, **TINY)
    assert made.run == "runs/digits-swrn-16-1-2-seed3"
    assert_same_run(whole, place / made.run)
    with pytest.raises(KeyboardInterrupt):
        train(observer=Stopping("metrics", 1), **TINY)
    assert str(newest_run()) == "runs/digits-swrn-16-1-2-seed3-2"
    assert train(resume=True).run == "runs/digits-swrn-16-1-2-seed3-2"
    assert_same_run(whole, place / "runs/digits-swrn-16-1-2-seed3-2")


def test_resume_of_a_finished_run_gives_its_report_and_changes_nothing(whole, monkeypatch):
    before = content_of(whole)
    monkeypatch.setattr(Digits, "images", lambda *args, **options: pytest.fail("read the data"))
    report = train(out=whole, resume=True, **TINY)
    assert report.to_json() == without(json.loads((whole / "report.json").read_text()), *SEALS)
    assert content_of(whole) == before


def test_a_finished_run_that_moved_says_where_it_is_now(whole, place):
    shutil.copytree(whole, place / "moved")
    assert train(out="moved", resume=True).run == "moved"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("arch", "wrn-16-1", "`arch='wrn-16-1'` contradicts run '{}', which was started with swrn-16-1-2"),
        ("batch_size", 64, "`batch_size=64` contradicts run '{}', which was started with 32"),
        ("seed", 0, "`seed=0` contradicts run '{}', which was started with 3"),
        ("validation", 0, "`validation=0` contradicts run '{}', which was started with 60"),
        ("precision", "bf16", "`precision='bf16'` contradicts run '{}', which was started with fp32"),
    ],
)
def test_an_option_that_contradicts_the_run_is_refused(whole, option, value, sentence):
    before = content_of(whole)
    ending = "; leave it out, or start another run with `out`"
    with pytest.raises(SettingError, match=exactly(sentence.format(whole) + ending)):
        train(out=whole, resume=True, **{option: value})
    assert content_of(whole) == before


def test_device_and_place_of_the_data_may_change(whole, place):
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 1), **TINY)
    train(out="run", resume=True, device="cpu", data_dir="elsewhere")
    assert_same_run(whole, place / "run")


def test_a_setting_that_does_not_exist_is_refused_at_the_start_and_when_going_on(whole, place):
    sentence = exactly("setting 'epoch' does not exist; did you mean 'epochs'?")
    for options in ({"out": "new"}, {"out": whole, "resume": True}):
        with pytest.raises(UnknownName, match=sentence):
            train(epoch=3, **options)
    assert list(place.iterdir()) == []


def test_what_exists_is_not_touched_without_force(whole, place):
    shutil.copytree(whole, place / "run")
    before = content_of(place / "run")
    sentence = "'run' exists already; continue it with `resume=True`, replace it with `force=True`, or change `out`"
    with pytest.raises(OutputError, match=exactly(sentence)):
        train(out="run", **TINY)
    assert content_of(place / "run") == before
    train(out="run", force=True, **TINY | {"seed": 4})
    assert open_run(place / "run").settings.seed == 4
    assert [path.name for path in place.iterdir()] == ["run"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_run_is_never_replaced(place, force):
    (place / "precious").mkdir()
    (place / "precious/thesis.tex").write_text("years")
    (place / "file").write_text("years")
    for name in ("precious", "file"):
        sentence = f"'{name}' exists already and is not a run folder; give `out` another name"
        with pytest.raises(OutputError, match=exactly(sentence)):
            train(out=name, force=force, **TINY)
    assert (place / "precious/thesis.tex").read_text() == (place / "file").read_text() == "years"


def test_resume_in_a_place_that_is_no_run_is_refused(place):
    (place / "precious").mkdir()
    (place / "precious/thesis.tex").write_text("years")
    with pytest.raises(
        RunError, match=exactly("'precious' is not a run folder and not empty; give `out` another name")
    ):
        train(out="precious", resume=True, **TINY)
    (place / "file").write_text("years")
    with pytest.raises(
        OutputError, match=exactly("'file' exists already and is not a run folder; give `out` another name")
    ):
        train(out="file", resume=True, **TINY)
    assert (place / "precious/thesis.tex").read_text() == (place / "file").read_text() == "years"


def meanwhile(monkeypatch, action) -> None:
    """While the data are read, somebody else acts."""
    read = begin.split_of

    def slow(*args, **options):
        action()
        return read(*args, **options)

    monkeypatch.setattr(begin, "split_of", slow)


def test_two_trainings_started_at_one_time_take_two_folders(place, monkeypatch):
    taken = place / "runs/digits-swrn-16-1-2-seed3"

    def take():
        taken.mkdir(parents=True)
        (taken / "config.json").write_text("another process's")

    meanwhile(monkeypatch, take)
    assert train(**TINY).run == "runs/digits-swrn-16-1-2-seed3-2"
    assert content_of(taken) == {"config.json": b"another process's"}


def test_a_place_that_was_taken_meanwhile_is_not_replaced(place, monkeypatch):
    meanwhile(monkeypatch, lambda: (place / "run").mkdir())
    sentence = "'run' exists already; give `out` another name or add `force=True`"
    with pytest.raises(OutputError, match=exactly(sentence)):
        train(out="run", **TINY)
    assert files_of(place / "run") == []


def test_changed_data_are_refused(place, monkeypatch, few):
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 1), **TINY)
    before = content_of(place / "run")
    pixels = few.train.pixels.clone()
    pixels[0, 0, 0, 0] ^= 1
    changed = replace(few, train=replace(few.train, pixels=pixels))
    monkeypatch.setattr(Digits, "images", lambda *args, **options: changed)
    sentence = (
        "the data are not those that run 'run' was trained on (their hash differs); "
        "give the original place with `data_dir`"
    )
    with pytest.raises(RunError, match=exactly(sentence)):
        train(out="run", resume=True)
    assert content_of(place / "run") == before


def test_a_rate_that_is_much_too_high_diverges_in_one_sentence(place, monkeypatch):
    monkeypatch.setitem(BOUNDS, "lr", replace(BOUNDS["lr"], most=1e9))
    with pytest.raises(TrainingDiverged) as caught:
        train(out="run", **TINY | {"lr": 1e6})
    assert re.fullmatch(
        r"(the loss of epoch 1 is (nan|inf)|epoch 1 leaves weights that are not finite|the validation loss of epoch 1 is "
        r"(nan|inf)); the checkpoint before, if any, is kept, try `lr=1e\+05`",
        str(caught.value),
    )
    assert files_of(place / "run") == ["coefficients.safetensors", "config.json"]
    with pytest.raises(
        RunError,
        match=exactly("run 'run' has no 'last' checkpoint; train it on with `foldnet.train(resume=True, out='run')`"),
    ):
        open_run(Path("run")).load()


def test_the_last_good_checkpoint_outlives_a_divergence(whole, place, monkeypatch):
    caught = []

    class Poisoning(Silent):
        def begin(self, task, total, part=0, parts=1):
            if part == 2:
                with torch.no_grad():
                    caught[0].param_groups[0]["params"][0].fill_(math.nan)

    build = build_optimiser
    with monkeypatch.context() as patch:
        patch.setattr(
            "foldnet.training.session.build_optimiser",
            lambda *args, **options: caught.append(build(*args, **options)) or caught[0],
        )
        sentence = "the loss of epoch 3 is nan; the checkpoint before, if any, is kept, try `lr=0.005`"
        with pytest.raises(TrainingDiverged, match=exactly(sentence)):
            train(out="run", observer=Poisoning(), **TINY)
    model, progress = open_run(place / "run").load()
    assert progress.epoch == 2
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_a_full_disk_keeps_the_checkpoint_before(whole, place, monkeypatch, checkpoint):
    save = kept.save_checkpoint

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(folder, *content):
        with pytest.MonkeyPatch.context() as patch:
            if (folder.name, content[-2].epoch) == (checkpoint, 2):
                patch.setattr(os, "fsync", full)
            save(folder, *content)

    best_grows = read_metrics(whole)[1]["validation_accuracy"] > read_metrics(whole)[0]["validation_accuracy"]
    assert best_grows  # else nothing is written into best/ in the second epoch
    with monkeypatch.context() as patch:
        patch.setattr(kept, "save_checkpoint", fill)
        sentence = (
            f"'run/{checkpoint}/checkpoint.safetensors' cannot be written (No space left on device); "
            f"free the place or choose another"
        )
        with pytest.raises(OutputError, match=exactly(sentence)):
            train(out="run", **TINY)
    model, progress = open_run(place / "run").load()
    assert progress.epoch == 1
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    train(out="run", resume=True)
    assert_same_run(whole, place / "run")


def test_a_place_that_cannot_be_written_is_one_sentence(place):
    (place / "file").write_text("")
    with pytest.raises(
        OutputError,
        match=exactly("'file/run' cannot be written (File exists); free the place or choose another"),
    ):
        train(out="file/run", **TINY)


@pytest.mark.parametrize(("file", "left", "whole"), [("metrics.jsonl", 0, 3), ("coefficients.safetensors", 1, 4)])
def test_a_history_shorter_than_the_checkpoint_is_refused(place, file, left, whole):
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 2), **TINY)
    if file == "metrics.jsonl":
        (place / "run" / file).unlink()
    else:
        rows = load_coefficients(place / "run")
        kept.save_coefficients(place / "run", {name: tensor[:1] for name, tensor in rows.items()})
    sentence = f"'run/{file}' holds {left} of the {whole} entries that the checkpoint counts; restore it"
    with pytest.raises(RunError, match=exactly(sentence)):
        train(out="run", resume=True)


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_lost_checkpoint_is_said_and_nothing_is_trained_anew(place, name):
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 0), **TINY)
    best = load_tensors(place / "run/last" / FILE).metadata["best_epoch"]
    shutil.rmtree(place / "run" / name)
    before = content_of(place / "run")
    file = f"'run/{name}/checkpoint.safetensors' is lost"
    sentence = {
        "last": f"{file}, with which the training had come to epoch 1; restore it, use `checkpoint='best'`, or train again with `force=True`",
        "best": f"{file}, the weights of epoch {best}; restore it or train again",
    }[name]
    with pytest.raises(RunError, match=exactly(sentence)):
        train(out="run", resume=True)
    assert content_of(place / "run") == before


def test_a_damaged_report_is_one_sentence(whole, place):
    shutil.copytree(whole, place / "run")
    (place / "run/report.json").write_text('{"odd": 1}')
    with pytest.raises(RunError, match=r"^'run/report\.json' is not a training report \(.*\); restore it$"):
        train(out="run", resume=True)


def test_an_illegal_setting_in_config_is_the_runs_fault(whole, place):
    shutil.copytree(whole, place / "run")
    config = json.loads((place / "run/config.json").read_text())
    config["settings"]["epochs"] = 0
    (place / "run/config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"^'run/config\.json' .*\(.*`epochs=0` .*\); .*$"):
        train(out="run", resume=True)


def test_training_leaves_the_processs_random_state_alone(place):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    train(out="run", **TINY | {"epochs": 1})
    assert torch.equal(torch.get_rng_state(), before)


def test_without_validation_there_is_no_best(place):
    report = train(out="run", **TINY | {"validation": 0, "epochs": 2})
    assert (report.best_validation_accuracy, report.best_epoch) == (None, None)
    assert not (place / "run/best").exists()
    lines = read_metrics(place / "run")
    assert [(line["validation_loss"], line["validation_accuracy"]) for line in lines] == [(None, None)] * 2
    with pytest.raises(RunError, match=exactly("run 'run' has no 'best' checkpoint; use `checkpoint='last'`")):
        open_run(Path("run")).load("best")


def test_a_plain_network_has_no_coefficients_and_goes_on_too(place):
    options = TINY | {"arch": "wrn-10-1"}
    report = train(out="whole", **options)
    assert not (place / "whole/coefficients.safetensors").exists()
    assert all(line["recurrence"] is None for line in read_metrics(place / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(out="run", observer=Stopping("metrics", 1), **options)
    train(out="run", resume=True)
    assert_same_run(place / "whole", place / "run")
    assert report.arch == "wrn-10-1"


def test_folders_that_are_being_written_are_no_runs(whole, place):
    shutil.copytree(whole, place / "runs/.digits.k1ll3d")
    shutil.copytree(whole, place / "runs/sound")
    assert all_runs() == [Path("runs/sound")]


def test_a_report_is_plain_data(whole):
    report = train(out=whole, resume=True)
    assert json.loads(json.dumps(report.to_json(), allow_nan=False)) == report.to_json()
    names = [field.name for field in fields(TrainReport) if field.name != "task"]
    assert list(report.to_json()) == [*names, "measure", "better"]


def test_the_digits_themselves_with_their_preset(place, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(place)
    report = train(arch="swrn-16-1-2", epochs=2, precision="fp32")
    assert report.run == "runs/digits-swrn-16-1-2-seed0"
    settings = open_run(Path(report.run)).settings
    assert (settings.batch_size, settings.validation, settings.recurrence) == (64, 360, 0.5)
    assert report.test_images == 360
    assert report.test_accuracy > 0.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"checkpoint_every": -1}, "`checkpoint_every=-1` is not legal; give a number of at least 0"),
        ({"device": "cuda:7"}, None),
        ({"progressive": 0.5}, None),
        ({"compile": "on"}, "`compile='on'` needs a C++ compiler (g++ or clang++); install it or use `compile='off'`"),
        ({"resume": True}, "`resume=True` and `force=True` contradict each other; give one of them"),
    ],
)
def test_a_run_is_not_replaced_by_one_that_cannot_begin(whole, place, monkeypatch, options, sentence):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    shutil.copytree(whole, place / "run")
    before = content_of(place)
    with pytest.raises((SettingError, MissingTool)) as refused:
        train(out="run", force=True, **TINY | options)
    assert sentence is None or str(refused.value) == sentence
    assert content_of(place) == before
