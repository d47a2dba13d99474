"""Commands that make again what a page shows: the training of a run, and its folds."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from foldnet.errors import FoldnetError
from foldnet.folding.folds import settings_of
from foldnet.folding.settings import FoldSettings
from foldnet.options import fields_of, plain
from foldnet.show.report import Table, Text
from foldnet.store.artifact import RUN
from foldnet.training.runs import Run
from foldnet.training.settings import TrainSettings, flat, make_source, source_settings, train_settings
from foldnet.verbs.pages.sources import command, said
from foldnet.zoo.code import file_named
from foldnet.zoo.family import WRITTEN

NAMED = ("dataset", "arch", "templates", "arch_option")  # settings that say what the preset is, and are always said
LEFT_OUT = ("momentum", "data_dir", "device")  # what has no option, and where it ran
OTHERS = {"from": "began with another run's weights", "converted": "was converted from another network"}


def train_command(run: Run) -> tuple[str, str]:
    """The command that trains as a run was trained, and "", or "" and why there is none. It says no place: neither
    where data lie nor where the run is to go."""
    config = RUN.config(run.folder)
    why = next((why for key, why in OTHERS.items() if key in config), "")
    if run.blueprint.ties or run.blueprint.groups:
        why = "shares by a fold or a plan, which are other files"
    if run.lengthened:
        why = "was made longer as it went on"
    if run.settings.momentum != TrainSettings().momentum:
        why = f"has momentum {run.settings.momentum:g}, for which there is no option"
    # What is chosen by the machine would be another on the next.
    return ("", why) if why else (_training(replace(run.settings, precision=run.precision)), "")


def trial_command(chosen: Mapping[str, Any]) -> str:
    """The command that trains as a study's trial does, of which `chosen` are the settings that are not at their
    defaults; "" where a user's file makes the network, or no option says one of them."""
    own: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    if "code" in own or "momentum" in own:
        return ""
    known = source_settings()
    try:
        source = make_source(own.pop("dataset"), {name: own.pop(name) for name in list(own) if name in known})
        return _training(TrainSettings(source=source, **own))
    except (FoldnetError, TypeError):
        return ""


def _training(settings: TrainSettings) -> str:
    """The command with all that the preset does not say."""
    given = flat(settings)
    try:
        usual = flat(train_settings({name: given[name] for name in NAMED}))
    except FoldnetError:  # what the preset asks for does not fit without the rest
        usual = {}
    own = {name: value for name, value in given.items() if name in NAMED or value != usual.get(name)}
    own = {name: value for name, value in own.items() if name not in LEFT_OUT}
    if (written := WRITTEN.fullmatch(settings.arch)) is not None and (code := file_named()) is not None:
        own["arch"] = f"{said(code)}:{written['function']}"
    return command("train", *options(TrainSettings, own))


def fold_command(folder: Path, run: str) -> str:
    """The command that folds a run as a fold was made, "" where its settings are not known or name a file."""
    try:
        settings = FoldSettings(**settings_of(folder))
    except (TypeError, ValueError, FoldnetError):
        return ""
    if settings.clusters is not None:
        return ""
    usual = plain(FoldSettings())
    own = {name: value for name, value in plain(settings).items() if value != usual.get(name)}
    words = [] if settings.threshold is None else ["--threshold", f"{settings.threshold}"]
    words += [word for group, value in settings.thresholds for word in ("--threshold", f"{group}={value}")]
    words += [] if not settings.groups else ["--groups", ",".join(settings.groups)]
    words += [word for name in ("keep", "ignore") for one in getattr(settings, name) for word in (f"--{name}", one)]
    words += [] if settings.shares else ["--no-shares"]
    return command("fold", run, *words, *options(FoldSettings, own))


def as_options(part: Table | Text) -> Table | Text:
    """A text whose settings, `threshold=0.9`, are options, as they are on a terminal and in the commands beside it."""
    if isinstance(part, Table):
        return part
    said = re.sub(r"`(\w+)='?([^`']*)'?`", lambda found: f"--{found[1].replace('_', '-')} {found[2]}", part.text)
    return replace(part, text=said)


def options(kind: type, values: Mapping[str, Any]) -> Iterator[str]:
    """Settings as words of a command line, in their order."""
    known = fields_of(kind)
    for name, value in values.items():
        flag = (known[name].option.flag if name in known else "") or name.replace("_", "-")
        if name == "arch_option":
            yield from (
                word for key, one in (value or {}).items() for word in ("--arch-option", f"{key}={json.dumps(one)}")
            )
        elif isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        elif value is not None:
            yield from (f"--{flag}", ",".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}")
