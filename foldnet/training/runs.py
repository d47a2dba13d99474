"""A run folder: what one training wrote, and what later commands read from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.bounds import check_number
from foldnet.data.tasks import TASKS, Task
from foldnet.errors import RunError
from foldnet.store.artifact import RUN, newest_that_opens
from foldnet.store.codec import LINKED, to_plain
from foldnet.store.files import runs_home
from foldnet.store.seals import identity_of
from foldnet.store.tensors import digest_of, facts_of
from foldnet.training.checkpoint import FILE, check_nothing_lost, load_model
from foldnet.training.observer import Progress
from foldnet.training.settings import TrainSettings, from_json, to_json
from foldnet.zoo.blueprint import Blueprint
from foldnet.zoo.recorded import blueprint_in, shape_of
from foldnet.zoo.scaling import Scaling, scaling_in

Lengthened = tuple[tuple[int, int], ...]  # ((17, 30),): the first 17 epochs are those of a training of 30


@dataclass(frozen=True, slots=True)
class Run:
    """An opened run folder. It never says where its data lie: whoever opens a stranger's folder would read what that
    names.

    `lengthened` says what its epochs were to be before they became those of the settings; `identity` tells it from
    every other run; what is `sealed` has checkpoints that state it. `scaling` is what its network takes; None in runs
    of before it was kept.
    """

    folder: Path
    settings: TrainSettings
    blueprint: Blueprint
    precision: str
    split_hash: str
    lengthened: Lengthened = ()
    identity: str = field(default="", compare=False)
    sealed: bool = field(default=True, compare=False)
    scaling: Scaling | None = None

    @property
    def task(self) -> Task:
        """What the network answers for."""
        return TASKS[self.blueprint.task]

    def digest(self, checkpoint: str) -> str:
        """The digest of a checkpoint's weights, as its file states it. Raises RunError."""
        return digest_of(self.folder / checkpoint / FILE, "model")

    @property
    def form(self) -> str:
        """ "soft", "tied" where layers share hard from the start, or "plain"."""
        return "tied" if self.blueprint.ties else "plain" if self.blueprint.templates is None else "soft"

    def load(self, checkpoint: str = "last") -> tuple[nn.Module, Progress]:
        """The trained network in evaluation mode, on the CPU, and where its training stood. Raises RunError."""
        place = self.folder / checkpoint
        if place.is_symlink():
            raise RunError(f"'{place}' {LINKED}")
        if not (place / FILE).is_file():
            check_nothing_lost(self.folder)
            mend = "use `checkpoint='last'`"
            if checkpoint == "last":
                mend = f"train it on with `foldnet.train(resume=True, out={str(self.folder)!r})`"
            raise RunError(f"run '{self.folder}' has no '{checkpoint}' checkpoint; {mend}")
        with self.blueprint.to_be_filled():
            model = self.blueprint.build()
        progress = self.fill(model, checkpoint)
        return model.eval(), progress

    def fill(self, model: nn.Module, checkpoint: str) -> Progress:
        """Fill the network from a checkpoint. Raises RunError for one that is damaged or says that it is another
        run's."""
        file = self.folder / checkpoint / FILE
        progress, seal = load_model(file.parent, model), facts_of(file).get("seal")
        own = seal.get("run") == self.identity if isinstance(seal, dict) else seal is None and not self.sealed
        if not own:
            raise RunError(f"'{file}' is not a checkpoint of run '{self.folder}' but another run's; restore its own")
        return progress


def create_run(folder: Path, run: Run, about: dict[str, Any], origin: Mapping[str, Any] | None = None) -> Run:
    """Write config.json into `folder`, which exists: everything needed to run it again, `about` the machine, and for a
    run that begins with weights of another its `origin`: under "from" the run, under "converted" what it was converted
    from, and how. Returns the run with its identity."""
    content = {
        "settings": to_json(replace(run.settings, data_dir=None)),
        "network": shape_of(run.blueprint),
        "precision": run.precision,
        "split_hash": run.split_hash,
        "machine": about,
        "scaling": to_plain(run.scaling),
    } | dict(origin or {})
    return replace(run, identity=identity_of(RUN.write_config(folder, content)))


def open_run(folder: Path) -> Run:
    """Read a run folder's config.json. Raises RunError where it is missing, empty, foreign, changed or of another
    schema."""

    def read(config: dict[str, Any]) -> Run:
        settings = from_json(config["settings"] | {"data_dir": None})
        built = blueprint_in(config["network"], settings.arch, **settings.named)
        precision, split_hash = str(config["precision"]), str(config["split_hash"])
        lengthened = read_lengthened(config.get("lengthened", ()), settings.epochs)
        scaling = scaling_in(config)
        return Run(folder, settings, built, precision, split_hash, lengthened, identity_of(config), scaling=scaling)

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


def length_at(epoch: int, epochs: int, lengthened: Lengthened) -> int:
    """How long the training was meant to be when epoch 0, 1, ... was trained: the schedule is that of so many
    epochs."""
    return next((length for until, length in lengthened if epoch < until), epochs)


def read_lengthened(value: Any, epochs: int) -> Lengthened:
    """From the pairs in a config.json. Raises ValueError, TypeError and SettingError for what no training of `epochs`
    can have been."""
    pairs = tuple((until, length) for until, length in value)
    for until, length in pairs:
        check_number("epochs", length, field="'lengthened'")
        if type(until) is not int or not 0 <= until <= length:
            raise ValueError(f"'lengthened' has {until!r} of {length} epochs")
    for before, after in pairwise((*pairs, (epochs, epochs))):
        if before[0] > after[0] or before[1] >= after[1]:
            raise ValueError(f"'lengthened' has {list(before)} before {list(after)}")
    return pairs


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


def default_name(settings: TrainSettings, form: str = "") -> Path:
    """The name where runs lie of what is trained, which another run may have already."""
    arch = file_name(settings.arch)
    soft = "" if settings.templates is None else f"-templates{settings.templates}"
    return runs_home() / f"{settings.dataset}-{arch}{soft}{form}-seed{settings.seed}"


def file_name(arch: str) -> str:
    """An architecture as part of a folder's name: "timm-resnet18"."""
    return re.sub(r"[^\w.-]+", "-", arch.replace(".py:", "-"))
