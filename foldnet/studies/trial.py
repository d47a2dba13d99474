"""A trial: one training and what follows it, under a name that says what it is and nothing of where it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from foldnet.analysis.choices import METRICS
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.folding.settings import FoldSettings
from foldnet.options import Option, check_fields, fields_of, plain
from foldnet.store.codec import to_plain
from foldnet.training.settings import TrainSettings
from foldnet.zoo.blueprint import blueprint
from foldnet.zoo.code import code_for
from foldnet.zoo.families import family_of
from foldnet.zoo.family import WRITTEN

DEFAULTS = 1  # to be raised when a default of a setting changes, since those at their defaults are in no name
ANYWHERE = ("device", "data_dir")  # settings that say where a training runs, not which it is
RUNS = "runs"  # the folder of a study's runs, each under its trial's name
UNTOLD = ("kind", "fold", "report", "made", "shares")  # of a step: what is told otherwise, or changes no network
LETTERS = 12  # of a name: of a million trials two are alike once in five hundred studies


@dataclass(frozen=True, slots=True)
class Step:
    """What follows a training: a kind of STEPS, and its settings."""

    kind: str
    settings: Any

    def to_json(self) -> dict[str, Any]:
        """The kind, and the settings that are not at their defaults."""
        own = {entry.name: (getattr(self.settings, entry.name), entry.default) for entry in fields(self.settings)}
        differing = {name: value for name, (value, usual) in own.items() if value != usual}
        written = {
            name: value.to_json() if isinstance(value, Step) else to_plain(value) for name, value in differing.items()
        }
        return {"kind": self.kind} | written

    @property
    def name(self) -> str:
        """The kind and a digest of the settings: the folder of what comes out."""
        return f"{self.kind}-{digest_of(self.to_json())[:8]}"

    @property
    def title(self) -> str:
        """What a reader calls it."""
        return title_of(self.to_json())

    def fits(self, settings: TrainSettings) -> bool:
        """Whether it can follow this training."""
        return STEPS[self.kind].fits(settings)


def title_of(step: Mapping[str, Any]) -> str:
    """A step as a reader calls it: the kind, of what fold it is like, and what is not at its default."""
    told = ", ".join(f"{key}={value}" for key, value in step.items() if key not in UNTOLD)
    kind = f"{step['kind']} {title_of(step['fold'])}" if "fold" in step else str(step["kind"])
    return f"{kind} ({told})" if told else kind


@dataclass(frozen=True, slots=True)
class StepKind:
    """What may follow a training: its settings, and whether it can follow one. How it is done: verbs/trial.py."""

    settings: type[Any]
    needs: str  # what a training must have, in words

    def fits(self, settings: TrainSettings) -> bool:
        """Whether the training gives what the step needs."""
        return settings.soft


@dataclass(frozen=True, slots=True)
class LsmSettings:
    """Keep how alike the layers came to be: by which metric, and with `history` how it came about too."""

    metric: Annotated[str | None, Option(choices=METRICS)] = None
    history: Annotated[bool, Option()] = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class LikeSettings:
    """Train the network of a `fold` from the start, with its hard sharing, for as many `epochs` as the trial or others.
    A study file names no fold: each that follows a training is followed by one."""

    epochs: Annotated[int | None, Option()] = None
    fold: Step | None = None

    def __post_init__(self) -> None:
        check_fields(self)


STEPS: dict[str, StepKind] = {
    "fold": StepKind(FoldSettings, "a soft network"),
    "lsm": StepKind(LsmSettings, "a soft network"),
    "like": StepKind(LikeSettings, "a soft network"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One training with what follows it. `place` says where in the study file it stands, `telling` names the settings
    in which it differs from others of its network and data there."""

    settings: TrainSettings
    steps: tuple[Step, ...]
    place: str
    telling: tuple[str, ...] = ()

    @property
    def chosen(self) -> dict[str, Any]:
        """The resolved settings that make this training what it is: neither where it runs, nor what is at its
        default."""
        kinds = fields_of(TrainSettings)
        differing = {name: value for name, value in plain(self.settings).items() if value != kinds[name].default}
        whole = {name: int(one) for name, one in differing.items() if isinstance(one, float) and one.is_integer()}
        own = differing | whole  # lr = 1 and lr = 1.0 are one setting
        source = self.settings.source
        of_source = {name: to_plain(getattr(source, name)) for name in fields_of(type(source))}
        usual = {name: to_plain(entry.default) for name, entry in fields_of(type(source)).items()}
        its = {name: value for name, value in of_source.items() if value != usual[name]}
        here = {"arch": _full_name(self.settings), "seed": self.settings.seed, "dataset": source.name}
        if WRITTEN.fullmatch(self.settings.arch):
            here["code"] = code_for(self.settings.arch).sha256  # another file makes another network
        if self.settings.templates is not None and not _outside(self.settings):
            del own["templates"]  # which stands in the full name
        return {name: value for name, value in own.items() if name not in ANYWHERE} | its | here

    @property
    def network(self) -> tuple[str, str]:
        """The architecture, and what it is trained on."""
        return self.chosen["arch"], self.chosen["dataset"]

    @property
    def name(self) -> str:
        """A digest of the chosen settings: the name of its run folder, whatever follows the training."""
        return digest_of(self.chosen)[:LETTERS]

    @property
    def title(self) -> str:
        """What a reader calls it."""
        further = [name for name in self.telling if name not in ("templates", "arch_option")]
        chosen = self.chosen if further else {}  # which asks for a user's own file
        told = "".join(f", {name}={chosen[name]}" for name in further if name in chosen)
        return f"{self.settings.network} {self.settings.dataset} seed {self.settings.seed}{told}"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a trial is done: the study's folder, where data lie, on which device, with how many threads, and the user's
    file of code that may run there."""

    folder: Path
    data_dir: Path | None = None
    device: str = "auto"
    threads: int = 1
    download: bool = False
    code: Path | None = None

    def run_of(self, trial: Trial) -> Path:
        """The run folder of a trial."""
        return self.folder / RUNS / trial.name


def step_of(kind: str, given: Mapping[str, Any], place: str) -> Step:
    """A step as a study file names it. Raises SettingError and UnknownName, with the place."""
    if kind not in STEPS:
        raise UnknownName(f"{place}: step '{kind}' does not exist{nearest(kind, STEPS)}")
    known = {entry.name for entry in fields(STEPS[kind].settings)} - {"fold"}
    for name in given:
        if name not in known:
            raise UnknownName(f"{place}: setting '{name}' of a {kind} does not exist{nearest(name, known)}")
    if given.get("clusters") is not None:
        raise SettingError(
            f"{place}: `clusters` names layers of one run; a study folds runs that are yet to be trained"
        )
    return Step(kind, STEPS[kind].settings(**given))


def telling(chosen: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The settings in which trials of one network on one dataset differ, but for the seed."""
    names = {name for settings in chosen for name in settings} - {"arch", "dataset", "seed"}
    return tuple(sorted(name for name in names if len({str(settings.get(name)) for settings in chosen}) > 1))


def _full_name(settings: TrainSettings) -> str:
    """An architecture with its number of templates, which a name may leave out; others' names have none."""
    if _outside(settings):
        return settings.arch
    built = blueprint(settings.arch, templates=settings.templates)
    return built.soft(built.templates).arch if built.templates is not None else settings.arch


def _outside(settings: TrainSettings) -> bool:
    """Whether others wrote the network."""
    family, _ = family_of(settings.arch)
    return family is not None and family.outside


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    text = json.dumps({"defaults": DEFAULTS} | to_plain(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
