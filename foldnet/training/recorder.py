"""What a training leaves in its run folder: metrics, coefficients, and last of all the checkpoint that makes them
count."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import MissingTool, RunError, SettingError
from foldnet.store.artifact import BOARD, seal_of
from foldnet.store.codec import to_plain
from foldnet.store.files import refuse_link
from foldnet.training.checkpoint import FILE, save_checkpoint, save_weights
from foldnet.training.journal import EpochMetrics, Progress, UnderWay
from foldnet.training.observer import Observer, Passing
from foldnet.training.recurrence import banks_of
from foldnet.training.runs import append_metrics, load_coefficients, note_progress, read_metrics, save_coefficients

EVERY = 30.0  # seconds: epochs that end sooner after a checkpoint make none, and a killed run repeats them
WITHIN = 300.0  # seconds after which a checkpoint is made within an epoch


def check_every(every: float) -> None:
    """Raise SettingError for what is no time between checkpoints."""
    if not every >= 0:
        raise SettingError(f"`checkpoint_every={every:g}` is not legal; give a number of seconds from 0")


class Recorder:
    """The journal of a run folder. Epochs leave a line of metrics and a row of coefficients, and, at most every `every`
    seconds and at the end, a checkpoint. Where `writes` is off it counts without writing (another process writes)."""

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        progress: Progress,
        *,
        epochs: int,
        every: float = EVERY,
        writes: bool = True,
        identity: str = "",
        restarts: Collection[int] = (),
        task: Task = CLASSES,
    ) -> None:
        """`identity` is the run's; `restarts` are epochs, from 0, with which other data begin: what was best before
        them no longer counts. What is better the `task` says.

        Cuts the histories back to where the checkpoint stands: a killed process may have written epochs more."""
        self.folder, self.model, self.optimiser = folder, model, optimiser
        self.progress, self.epochs, self.every, self.writes = progress, epochs, every, writes
        self.identity, self.restarts, self.task = identity, restarts, task
        self.saved = time.monotonic()
        self.best: tuple[dict[str, Tensor], Progress] | None = None  # not on the disk yet
        done = progress.epoch
        self.metrics = read_metrics(folder)[:done]
        history = load_coefficients(folder) if banks_of(model) else {}
        self.coefficients = {name: rows[: done + 1] for name, rows in history.items()}
        for file, entries, whole in (
            ("metrics.jsonl", len(self.metrics), done),
            *(("coefficients.safetensors", len(rows), done + 1) for rows in self.coefficients.values()),
        ):
            if entries < whole:
                raise RunError(
                    f"'{folder / file}' holds {entries} of the {whole} entries that the checkpoint counts; restore it"
                )
        if progress.best_epoch is not None and not (folder / "best" / FILE).is_file():
            raise RunError(
                f"'{folder / 'best' / FILE}' is lost, the weights of epoch {progress.best_epoch}; restore "
                "it or train again"
            )

    def after_epoch(self, metrics: EpochMetrics) -> None:
        """Record one whole epoch."""
        score = metrics.validation_score
        best = None if metrics.epoch - 1 in self.restarts else self.progress.best_score
        better = score is not None and (best is None or self.task.merit(score) > self.task.merit(best))
        self.progress = Progress(
            metrics.epoch,
            score if better else best,
            metrics.epoch if better else self.progress.best_epoch,
            self.progress.seconds + metrics.seconds,
        )
        self.metrics.append(to_plain(metrics))
        if not self.writes:
            return
        append_metrics(self.folder, self.metrics)
        if self.coefficients:
            self.coefficients = coefficients(self.model, self.coefficients)
            save_coefficients(self.folder, self.coefficients)
        if better:
            self.best = {name: tensor.cpu().clone() for name, tensor in self.model.state_dict().items()}, self.progress
        if metrics.epoch == self.epochs or self._since_saved() >= self.every:
            self._save()

    def due(self) -> bool:
        """Whether a killed process would lose much by now."""
        return self.writes and self._since_saved() >= max(WITHIN, self.every)

    def within_epoch(self, under_way: UnderWay) -> None:
        """Keep the state between two steps."""
        self.progress = replace(self.progress, under_way=under_way)
        if self.writes:
            self._save()

    def _since_saved(self) -> float:
        """Seconds since the last checkpoint."""
        return time.monotonic() - self.saved

    def _save(self) -> None:
        """Write the best weights, where they are new, and the checkpoint, which states the histories as they are by
        now."""
        seal = seal_of(self.identity, self.metrics, self.coefficients)
        if self.best is not None:
            save_weights(self.folder / "best", *self.best, {"run": self.identity})
            self.best = None
        save_checkpoint(self.folder / "last", self.model, self.optimiser, self.progress, seal)
        note_progress(self.folder, self.progress)
        self.saved = time.monotonic()


def coefficients(model: nn.Module, history: dict[str, Tensor]) -> dict[str, Tensor]:
    """The history of coefficients with the present ones at its end: (epochs + 1, L, K) a group."""
    present = {name: bank.coefficients.detach().cpu().clone()[None] for name, bank in banks_of(model).items()}
    return {name: torch.cat([history[name], rows]) if name in history else rows for name, rows in present.items()}


FOLDER = BOARD


class Board(Passing):
    """Passes on what it is told, and writes the metrics of epochs."""

    def __init__(self, observer: Observer) -> None:
        """Raises MissingTool where TensorBoard is not installed."""
        super().__init__(observer)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingTool(
                "`tensorboard=True` needs the package tensorboard; install it with `pip install 'foldnet[tensorboard]'`"
            ) from None
        self.kind = SummaryWriter
        self.writer: Any = None

    def open(self, run: Path, epoch: int) -> None:
        """Write into a run's folder; what was written of epochs after `epoch` counts no more. Raises OutputError for a
        link."""
        refuse_link(run / FOLDER)
        self.writer = self.kind(str(run / FOLDER), purge_step=epoch + 1)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Write every number of the epoch, those of groups under the group's name."""
        for name, value in metrics.items():
            numbers = value if isinstance(value, dict) else {"": value}
            for part, number in numbers.items():
                if isinstance(number, int | float) and name != "epoch":
                    self.writer.add_scalar(f"{name}/{part}".rstrip("/"), number, metrics["epoch"])
        self.writer.flush()
        super().epoch(metrics)
