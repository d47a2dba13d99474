"""What is seen while foldnet works."""

import io

from rich.console import Console
from rich.progress import Progress

from foldnet_cli.progress import Watcher, watching

EPOCH = {
    "epoch": 3,
    "train_loss": 0.25,
    "train_accuracy": 0.5,
    "validation_accuracy": None,
    "recurrence": None,
    "similarity": None,
    "images_per_second": 1234.5,
    "waited": 0.0123,
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
    assert first.startswith("epoch   3  loss 0.2500  train  50.0 %  1,234 img/s  waited 1.2 %  ")
    assert second == "[bold] is not markup? see :smile:"


def test_an_epoch_says_what_was_measured(capsys):
    with watching() as watcher:
        watcher.epoch(
            EPOCH | {"validation_accuracy": 0.75, "recurrence": 0.5, "similarity": {"stage1": 0.1, "stage2": 0.98}}
        )
    assert "validation  75.0 %  recurrence 0.50  alike 0.10 0.98  " in capsys.readouterr().err


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
