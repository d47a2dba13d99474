"""What a training leaves in its run folder: metrics, coefficients, and last the checkpoint that makes them count."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import MissingTool, RunError
from foldnet.sharing.share import banks_of
from foldnet.store.artifact import BOARD
from foldnet.store.codec import to_plain
from foldnet.store.files import refuse_link, write_json
from foldnet.store.seals import seal_of
from foldnet.training import checkpoint
from foldnet.training.observer import EpochMetrics, Journal, Progress, UnderWay
from foldnet.training.runs import Run
from foldnet.training.session import Session

EVERY = 30.0  # seconds: epochs that end sooner after a checkpoint make none, and a killed run repeats them
WITHIN = 300.0  # seconds after which a checkpoint is made within an epoch


class Recorder(Journal):
    """The journal of a run folder. Epochs leave a line of metrics and a row of coefficients, and, at most every `every`
    seconds and at the end, a checkpoint. Of several processes the first writes, the others count."""

    def __init__(self, run: Run, session: Session, *, every: float = EVERY, board: bool = False) -> None:
        """With `board` the epochs' numbers go to TensorBoard too.

        Cuts the histories back to where the checkpoint stands: a killed process may have written epochs more."""
        folder, done = run.folder, session.start.epoch
        self.run, self.session, self.model, self.progress = run, session, session.model, session.start
        self.writes, self.every, self.saved = session.machine.world.writes, every, time.monotonic()
        self.best: tuple[dict[str, Tensor], Progress] | None = None  # not on the disk yet
        self.metrics = checkpoint.read_metrics(folder)[:done]
        history = checkpoint.load_coefficients(folder) if banks_of(self.model) else {}
        self.coefficients = {name: rows[: done + 1] for name, rows in history.items()}
        checkpoint.check_count(folder / "metrics.jsonl", len(self.metrics), done)
        for rows in self.coefficients.values():
            checkpoint.check_count(folder / "coefficients.safetensors", len(rows), done + 1)
        best, file = self.progress.best_epoch, folder / "best" / checkpoint.FILE
        if best is not None and not file.is_file():
            raise RunError(f"'{file}' is lost, the weights of epoch {best}; restore it or train again")
        keeps_board = self.writes and (board or (folder / BOARD).is_dir())  # as the run began
        self.board = Board(folder, done) if keeps_board else None

    def after_epoch(self, metrics: EpochMetrics) -> None:
        """Record one whole epoch."""
        score, merit = metrics.validation_score, self.session.objective.task.merit
        best = None if metrics.epoch - 1 in self.session.course.restarts else self.progress.best_score
        better = score is not None and (best is None or merit(score) > merit(best))
        best, best_epoch = (score, metrics.epoch) if better else (best, self.progress.best_epoch)
        self.progress = Progress(metrics.epoch, best, best_epoch, self.progress.seconds + metrics.seconds)
        self.metrics.append(to_plain(metrics))
        if not self.writes:
            return
        checkpoint.append_metrics(self.run.folder, self.metrics)
        if self.coefficients:
            self.coefficients = coefficients(self.model, self.coefficients)
            checkpoint.save_coefficients(self.run.folder, self.coefficients)
        if better:
            self.best = {name: tensor.cpu().clone() for name, tensor in self.model.state_dict().items()}, self.progress
        if metrics.epoch == self.run.settings.epochs or self._since_saved() >= self.every:
            self._save()
        if self.board is not None:
            self.board.epoch(self.metrics[-1])

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
        folder, identity = self.run.folder, self.run.identity
        seal = seal_of(identity, self.metrics, self.coefficients)
        if self.best is not None:
            weights, progress = self.best
            checkpoint.save_checkpoint(folder / "best", weights, None, progress, {"run": identity})
            self.best = None
        checkpoint.save_checkpoint(folder / "last", self.model, self.session.optimiser, self.progress, seal)
        write_json(folder / checkpoint.PROGRESS, {"epoch": self.progress.epoch, "step": self.progress.under_way.step})
        self.saved = time.monotonic()


def coefficients(model: nn.Module, history: dict[str, Tensor]) -> dict[str, Tensor]:
    """The history of coefficients with the present ones at its end: (epochs + 1, L, K) a group."""
    present = {name: bank.coefficients.detach().cpu().clone()[None] for name, bank in banks_of(model).items()}
    return {name: torch.cat([history[name], rows]) if name in history else rows for name, rows in present.items()}


def writer_kind() -> Any:
    """TensorBoard's writer, a class. Raises MissingTool where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingTool(
            "`tensorboard=True` needs the package tensorboard; install it with `pip install 'foldnet[tensorboard]'`"
        ) from None
    return SummaryWriter


class Board:
    """Writes the metrics of epochs into a run's folder."""

    def __init__(self, run: Path, epoch: int) -> None:
        """What was written of epochs after `epoch` counts no more. Raises OutputError for a link, MissingTool."""
        refuse_link(run / BOARD)
        self.writer = writer_kind()(str(run / BOARD), purge_step=epoch + 1)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Write every number of the epoch, those of groups under the group's name."""
        for name, value in metrics.items():
            for part, number in (value if isinstance(value, dict) else {"": value}).items():
                if isinstance(number, int | float) and name != "epoch":
                    self.writer.add_scalar(f"{name}/{part}".rstrip("/"), number, metrics["epoch"])
        self.writer.flush()
