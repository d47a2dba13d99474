"""A run folder: what one training wrote, and what later commands read from it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foldnet.data.tasks import TASKS, Lengthened, Task, read_lengthened
from foldnet.errors import RunError, SettingError
from foldnet.store.artifact import BOARD, RUN, newest_that_opens
from foldnet.store.codec import to_plain
from foldnet.store.files import runs_home
from foldnet.store.seals import identity_of, seal_of
from foldnet.store.tensors import facts_of
from foldnet.training.checkpoint import (
    FILE,
    append_metrics,
    check_count,
    check_nothing_lost,
    load_coefficients,
    load_model,
    note_progress,
    read_metrics,
    save_checkpoint,
    save_coefficients,
)
from foldnet.training.observer import EpochMetrics, Journal, Progress, UnderWay
from foldnet.training.recurrence import banks_of
from foldnet.training.settings import TrainSettings, from_json, to_json
from foldnet.zoo.blueprint import Blueprint, blueprint_in, shape_of

if TYPE_CHECKING:
    from foldnet.training.session import Session
    from foldnet.training.tensorboard import Board


@dataclass(frozen=True, slots=True)
class Run:
    """An opened run folder. It never says where its data lie: whoever opens a stranger's folder would read what that
    names.

    `lengthened` says what its epochs were to be before they became those of the settings; `identity` tells it from
    every other run; what is `sealed` has checkpoints that state it.
    """

    folder: Path
    settings: TrainSettings
    blueprint: Blueprint
    precision: str
    split_hash: str
    lengthened: Lengthened = ()
    identity: str = field(default="", compare=False)
    sealed: bool = field(default=True, compare=False)

    @property
    def task(self) -> Task:
        """What the network answers for."""
        return TASKS[self.blueprint.task]

    def network(self) -> nn.Module:
        """The architecture, freshly initialised (under torch.device("meta"): not allocated)."""
        return self.blueprint.build()

    def load(self, checkpoint: str = "last") -> tuple[nn.Module, Progress]:
        """The trained network in evaluation mode, on the CPU, and where its training stood. Raises RunError."""
        if (self.folder / checkpoint).is_symlink():
            raise RunError(
                f"'{self.folder / checkpoint}' is a symbolic link, and none is followed inside a run or fold; "
                f"copy the folder with `cp -RL`"
            )
        if not (self.folder / checkpoint / FILE).is_file():
            check_nothing_lost(self.folder)
            mend = "use `checkpoint='last'`"
            if checkpoint == "last":
                mend = f"train it on with `foldnet.train(resume=True, out={str(self.folder)!r})`"
            raise RunError(f"run '{self.folder}' has no '{checkpoint}' checkpoint; {mend}")
        with torch.device("meta"):
            model = self.network()
        progress = load_model(self.folder / checkpoint, model)
        self.check_own(checkpoint)
        return model.eval(), progress

    def check_own(self, checkpoint: str) -> None:
        """Raise RunError where a checkpoint says that it is another run's."""
        file = self.folder / checkpoint / FILE
        seal = facts_of(file).get("seal")
        if (seal is None and not self.sealed) or (isinstance(seal, dict) and seal.get("run") == self.identity):
            return
        raise RunError(f"'{file}' is not a checkpoint of run '{self.folder}' but another run's; restore its own")


def create_run(folder: Path, run: Run, about: dict[str, Any]) -> Run:
    """Write config.json into `folder`, which exists: everything needed to run it again, and `about` the machine.
    Returns the run with its identity."""
    content = {
        "settings": to_json(replace(run.settings, data_dir=None)),
        "network": shape_of(run.blueprint),
        "precision": run.precision,
        "split_hash": run.split_hash,
        "machine": about,
    }
    return replace(run, identity=identity_of(RUN.write_config(folder, content)))


def open_run(folder: Path) -> Run:
    """Read a run folder's config.json. Raises RunError where it is missing, empty, foreign, changed or of another
    schema."""

    def read(config: dict[str, Any]) -> Run:
        settings = from_json(config["settings"] | {"data_dir": None})
        built = blueprint_in(config["network"], settings.arch, settings.dropout)
        precision, split_hash = str(config["precision"]), str(config["split_hash"])
        lengthened = read_lengthened(config.get("lengthened", ()), settings.epochs)
        return Run(folder, settings, built, precision, split_hash, lengthened, identity_of(config))

    run, is_sealed = RUN.open(folder, read)
    return replace(run, sealed=is_sealed)


def lengthened(run: Run, progress: Progress) -> Run:
    """A run that goes on from `progress`, with what it was meant to be before; the first time that it is to become
    longer, too.

    The longer schedule begins with the next epoch: one that is under way ends as it began.
    """
    config = RUN.config(run.folder)  # asked anew: of several processes the first may have written it by now
    earlier, before = config.get("lengthened", []), config["settings"]["epochs"]
    if run.settings.epochs > before:
        until = min(progress.epoch + (progress.under_way.step > 0), before)
        earlier = [*(pair for pair in earlier if pair[0] <= until), (until, before)]
    return replace(run, lengthened=tuple((until, length) for until, length in earlier))


def all_runs(home: Path | None = None) -> list[Path]:
    """Run folders directly under `home` (default: where runs lie), oldest first; damaged ones that can't say when come
    before."""
    return RUN.all_in(home or runs_home())


def newest_run(home: Path | None = None) -> Path:
    """The run folder made last, of those that open where there are any. Raises RunError where there is none."""
    home = home or runs_home()
    runs = all_runs(home)
    if not runs:
        raise RunError(f"there is no run under '{home}'; train one with `foldnet.train()`, or name its folder")
    return newest_that_opens(runs, open_run)


def default_name(settings: TrainSettings, home: Path | None = None) -> Path:
    """The name under `home` (default: where runs lie) of what is trained, which another run may have already."""
    return (home or runs_home()) / f"{settings.dataset}-{settings.arch}-seed{settings.seed}"


EVERY = 30.0  # seconds: epochs that end sooner after a checkpoint make none, and a killed run repeats them
WITHIN = 300.0  # seconds after which a checkpoint is made within an epoch


def check_every(every: float) -> None:
    """Raise SettingError for what is no time between checkpoints."""
    if not every >= 0:
        raise SettingError(f"`checkpoint_every={every:g}` is not legal; give a number of seconds from 0")


class Recorder(Journal):
    """The journal of a run folder. Epochs leave a line of metrics and a row of coefficients, and, at most every `every`
    seconds and at the end, a checkpoint. Of several processes the first writes, the others count."""

    def __init__(self, run: Run, session: Session, *, every: float = EVERY, board: bool = False) -> None:
        """With `board` the epochs' numbers go to TensorBoard too.

        Cuts the histories back to where the checkpoint stands: a killed process may have written epochs more."""
        folder, model, progress = run.folder, session.model, session.start
        self.folder, self.identity, self.epochs = folder, run.identity, run.settings.epochs
        self.model, self.optimiser, self.progress = model, session.optimiser, progress
        self.writes, self.every, self.restarts = session.machine.world.writes, every, session.course.restarts
        self.task, self.saved = session.objective.task, time.monotonic()
        self.best: tuple[dict[str, Tensor], Progress] | None = None  # not on the disk yet
        done = progress.epoch
        self.metrics = read_metrics(folder)[:done]
        history = load_coefficients(folder) if banks_of(model) else {}
        self.coefficients = {name: rows[: done + 1] for name, rows in history.items()}
        check_count(folder / "metrics.jsonl", len(self.metrics), done)
        for rows in self.coefficients.values():
            check_count(folder / "coefficients.safetensors", len(rows), done + 1)
        if progress.best_epoch is not None and not (folder / "best" / FILE).is_file():
            raise RunError(
                f"'{folder / 'best' / FILE}' is lost, the weights of epoch {progress.best_epoch}; restore "
                "it or train again"
            )
        self.board: Board | None = None
        if self.writes and (board or (folder / BOARD).is_dir()):  # as the run began
            from foldnet.training import tensorboard

            self.board = tensorboard.Board(folder, done)

    def after_epoch(self, metrics: EpochMetrics) -> None:
        """Record one whole epoch."""
        score, merit = metrics.validation_score, self.task.merit
        best = None if metrics.epoch - 1 in self.restarts else self.progress.best_score
        better = score is not None and (best is None or merit(score) > merit(best))
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
        seal = seal_of(self.identity, self.metrics, self.coefficients)
        if self.best is not None:
            weights, progress = self.best
            save_checkpoint(self.folder / "best", weights, None, progress, {"run": self.identity})
            self.best = None
        save_checkpoint(self.folder / "last", self.model, self.optimiser, self.progress, seal)
        note_progress(self.folder, self.progress)
        self.saved = time.monotonic()


def coefficients(model: nn.Module, history: dict[str, Tensor]) -> dict[str, Tensor]:
    """The history of coefficients with the present ones at its end: (epochs + 1, L, K) a group."""
    present = {name: bank.coefficients.detach().cpu().clone()[None] for name, bank in banks_of(model).items()}
    return {name: torch.cat([history[name], rows]) if name in history else rows for name, rows in present.items()}
