"""What is seen while foldnet works."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from foldnet.show.progress import COURSES, epoch_line
from foldnet_cli.guard import Watcher, watching

EPOCH = {
    "epoch": 3,
    "train_loss": 0.25,
    "train_accuracy": 0.5,
    "validation_accuracy": None,
    "recurrence": None,
    "similarity": None,
    "images_per_second": 1234.5,
    "waited": 0.0123,
    "measure": "accuracy",
    "unit": "images",
    "scores": {"train": "50.0 %"},
    "course": "epoch",
}


def test_elsewhere_than_on_a_terminal_there_are_plain_lines(capsys):
    with watching() as watcher:
        watcher.begin("epoch 3", 10)
        watcher.advance()
        watcher.epoch(EPOCH)
        watcher.note("[bold] is not markup? see :smile:")
        watcher.end()
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert captured.out == ""
    assert first.startswith("epoch   3  loss 0.2500  train  50.0 %  0 s  1,234 img/s")
    assert second == "[bold] is not markup? see :smile:"


def test_an_epoch_says_what_was_measured():
    scores = {"train": "50.0 %", "val": "75.0 %"}
    measured = EPOCH | {"scores": scores, "recurrence": 0.5, "similarity": {"stage1": 0.1, "stage2": 0.98}}
    said = "epoch   3  loss 0.2500  train  50.0 %  val  75.0 %  9 s  alike 0.10 0.98"
    assert epoch_line(measured, 9.4) == said


def test_waiting_for_data_is_said_where_it_costs_something():
    assert epoch_line(EPOCH | {"waited": 0.21}, 9) == (
        "epoch   3  loss 0.2500  train  50.0 %  9 s  waited 21 %  1,234 img/s"
    )


def test_f1_is_not_called_an_accuracy_nor_fine_tuning_an_epoch():
    scores = {"train": "F1 0.5000", "val": "F1 0.7500"}
    grids = EPOCH | {"measure": "F1", "unit": "grids", "scores": scores, "course": "fine-tuning"}
    assert epoch_line(grids, 9) == "fine-tuning   3  loss 0.2500  train F1 0.5000  val F1 0.7500  9 s  1,234 grids/s"


@given(
    st.fixed_dictionaries(
        {
            "epoch": st.integers(1, 10_000),
            "train_loss": st.floats(0, 1e6),
            "train_accuracy": st.floats(0, 1),
            "validation_accuracy": st.none() | st.floats(0, 1),
            "similarity": st.none() | st.dictionaries(st.text(), st.floats(0, 1), max_size=20),
            "images_per_second": st.floats(0, 1e9),
            "waited": st.floats(0, 1),
            "measure": st.sampled_from(["accuracy", "F1"]),
            "unit": st.sampled_from(["images", "grids"]),
            "scores": st.dictionaries(st.sampled_from(["train", "val"]), st.text(max_size=100)),
            "course": st.sampled_from(COURSES),
        }
    ),
    st.floats(0, 1e7),
)
def test_the_line_of_an_epoch_has_at_most_80_columns(metrics, seconds):
    assert len(epoch_line(metrics, seconds)) <= 80


def test_one_bar_runs_over_all_parts_and_goes_away():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Progress(console=console) as progress:
        watcher = Watcher(console, progress)
        for epoch in range(3):
            watcher.begin(f"epoch {epoch + 1}", 4, epoch, 3)
            (task,) = progress.tasks
            assert (task.total, task.completed) == (12, 4 * epoch)
            watcher.begin("evaluating", 5)  # inside a training: no bar of its own
            watcher.advance()
            assert progress.tasks[0].completed == 4 * epoch
            watcher.end()
            watcher.advance(2)
            assert progress.tasks[0].completed == 4 * epoch + 2
            watcher.end()
        watcher.end_bar()
        assert progress.tasks == []
        watcher.begin("evaluating", 5)
        watcher.advance(5)
        assert progress.tasks[0].completed == 5
        watcher.end()
        assert progress.tasks == []


def test_the_similarities_of_three_groups_fit_beside_a_validation():
    scores = {"train": "50.0 %", "val": "100.0 %"}
    measured = EPOCH | {"scores": scores, "similarity": {"stage1": 0.99, "stage2": 1.0, "stage3": 1.0}}
    assert epoch_line(measured, 1234) == (
        "epoch   3  loss 0.2500  train  50.0 %  val 100.0 %  1234 s  alike 0.99 1.00 1.00"
    )
