"""A run folder: what one training wrote, and what later commands read from it."""

import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.data.tasks import TASKS, Lengthened, Task, read_lengthened
from foldnet.errors import RunError, SettingError, UnknownName
from foldnet.store.artifact import (
    CHECKPOINTS,
    SCHEMA,
    changed,
    check_seal,
    digest_of_json,
    folders_of,
    identity_of,
    newest_that_opens,
    read_config,
    sealed,
    upgraded,
)
from foldnet.store.files import refuse_link, runs_home, write_json, write_whole
from foldnet.store.leftovers import remove_leftovers
from foldnet.store.reading import NotPlain, parse_json, read_json, read_text
from foldnet.store.tensors import digest_of_tensors, facts_of, load_tensors, save_tensors
from foldnet.training.checkpoint import FILE, load_model
from foldnet.training.journal import Progress
from foldnet.training.settings import TrainSettings, from_json, to_json
from foldnet.zoo.blueprint import Blueprint, blueprint_in, shape_of

PROGRESS = "progress.json"  # how far the last checkpoint has come


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
            mend = (
                f"train it on with `foldnet.train(resume=True, out={str(self.folder)!r})`"
                if checkpoint == "last"
                else "use `checkpoint='last'`"
            )
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


def create_run(folder: Path, run: Run, machine: dict[str, Any]) -> Run:
    """Write config.json into `folder`, which exists: everything needed to run it again. Returns the run with its
    identity."""
    config = {
        "schema": SCHEMA,
        "kind": "run",
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "settings": to_json(replace(run.settings, data_dir=None)),
        "network": shape_of(run.blueprint),
        "precision": run.precision,
        "split_hash": run.split_hash,
        "machine": machine,
    }
    write_json(folder / "config.json", sealed(config))
    return replace(run, identity=identity_of(config))


def open_run(folder: Path) -> Run:
    """Read a run folder's config.json. Raises RunError where it is missing, empty, foreign, changed or of another
    schema."""
    written = read_config(folder, "run")
    config, file = upgraded(written), folder / "config.json"
    try:
        settings = from_json(config["settings"] | {"data_dir": None})
        built = blueprint_in(config["network"], settings.arch, settings.dropout)
        precision, split_hash = str(config["precision"]), str(config["split_hash"])
        lengthened = read_lengthened(config.get("lengthened", ()), settings.epochs)
        run = Run(folder, settings, built, precision, split_hash, lengthened)
    except (SettingError, UnknownName) as error:
        raise RunError(f"'{file}' has a setting that is not legal ({error}); restore the file") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"'{file}' is not a run's ({error!r}); it was edited or is foreign") from None
    return replace(run, identity=identity_of(config), sealed=check_seal(written, file))


def all_runs(home: Path | None = None) -> list[Path]:
    """Run folders directly under `home` (default: where runs lie), oldest first; damaged ones that can't say when come
    before."""
    return folders_of("run", home or runs_home())


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


def append_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl, a line an epoch. Losses that are not finite never come here, so the lines are plain JSON."""
    lines = (json.dumps(line, allow_nan=False) for line in history)
    write_whole(folder / "metrics.jsonl", "".join(f"{line}\n" for line in lines))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; none where there is no file. Raises RunError where a line is not JSON, or was
    changed."""
    file = folder / "metrics.jsonl"
    epochs, seal = _counted(folder)
    if not os.path.lexists(file):
        if seal and epochs:
            raise _lost(file, 0, epochs)
        return []
    try:
        lines = [parse_json(line) for line in read_text(file).splitlines()]
    except NotPlain as error:
        raise RunError(f"'{file}' {error}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"'{file}' is not one JSON object a line ({error}); restore it or remove it") from None
    if not all(isinstance(line, dict) for line in lines):
        raise RunError(f"'{file}' is not one JSON object a line; restore it or remove it")
    if [line.get("epoch") for line in lines] != list(range(1, len(lines) + 1)):
        raise RunError(f"'{file}' has not one line an epoch, in order; restore it")
    if seal and len(lines) < epochs:
        raise _lost(file, len(lines), epochs)
    if seal and digest_of_json(lines[:epochs]) != seal.get(file.name):
        raise changed(file, "run")
    return lines


def _lost(file: Path, found: int, epochs: int) -> RunError:
    """What is said of a history that lacks what the last checkpoint counts."""
    return RunError(f"'{file}' holds {found} of the {epochs} entries that the checkpoint counts; restore it")


def save_coefficients(folder: Path, history: dict[str, Tensor]) -> None:
    """Write coefficients.safetensors: one tensor a group, (epochs + 1, L, K), the first row before training."""
    save_tensors(folder / "coefficients.safetensors", history)


def load_coefficients(folder: Path) -> dict[str, Tensor]:
    """One tensor a group, (epochs + 1, L, K), which only soft runs have. Raises RunError where they are missing or
    changed."""
    file = folder / "coefficients.safetensors"
    epochs, seal = _counted(folder)
    history = load_tensors(file).tensors
    whole = all(
        rows.dim() and len(rows) > epochs for rows in history.values()
    )  # what is not, whoever uses it complains of
    counted = {name: rows[: epochs + 1] for name, rows in history.items()} if whole else {}
    if seal and whole and digest_of_tensors(counted) != seal.get(file.name):
        raise changed(file, "run")
    return history


def _counted(folder: Path) -> tuple[int, dict[str, str]]:
    """The epochs that the last checkpoint counts and what it says of the files beside it; (0, {}) where there is
    nothing to compare.

    To be asked before a history is read: what a training adds meanwhile is then more than is counted, never less.
    """
    try:
        facts = facts_of(folder / "last" / FILE)
    except RunError:
        return 0, {}  # whoever loads it is told why
    epochs, seal = facts.get("epoch"), facts.get("seal")
    return (epochs, seal) if type(epochs) is int and isinstance(seal, dict) else (0, {})


def note_progress(folder: Path, progress: Progress) -> None:
    """Say beside the checkpoint how far it has come, so that its loss is noticed."""
    write_json(folder / PROGRESS, {"epoch": progress.epoch, "step": progress.under_way.step})


def check_nothing_lost(folder: Path) -> None:
    """Raise RunError where a run once had a checkpoint and has none now: training on would begin anew."""
    file = folder / "last" / FILE
    if file.exists() or not (folder / PROGRESS).exists():
        return
    reached = read_json(folder / PROGRESS)
    epoch = reached.get("epoch") if isinstance(reached, dict) else None
    raise RunError(
        f"'{file}' is lost, with which the training had come to epoch {epoch}; restore it, use `checkpoint='best'`, "
        f"or train again with `force=True`"
    )


def clear_leftovers(folder: Path) -> None:
    """Remove what killed commands were in the middle of writing into a run. Raises OutputError for linked
    checkpoints."""
    for name in CHECKPOINTS:
        refuse_link(folder / name)
    for place in (folder, *(folder / name for name in CHECKPOINTS)):
        remove_leftovers(place)
