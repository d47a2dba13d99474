"""A study file: TOML that names a grid of trainings, single ones, and what follows each.

epochs = 5                      # of all trials, as any setting of a training

[grid]                          # lists multiply; [[grid]] names several grids
arch = ["wrn-28-1", "swrn-28-1-4"]
dataset = ["cifar10", "cifar100"]
seed = [0, 1]

[[trial]]                       # a single one
arch = "wrn-28-2"

[fold]                          # follows each training of a soft network; lists multiply here too
threshold = [0.95, 0.9]

[like]                          # follows each fold: its network from the start, with its hard sharing

[lsm]                           # keeps the layer similarity matrices
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from foldnet.errors import FoldnetError, SettingError, UnknownName, nearest
from foldnet.store.codec import LARGEST_TOML, parse_toml, read_text, reading
from foldnet.studies.trial import STEPS, Step, Trial, step_of, telling
from foldnet.training.settings import train_settings
from foldnet.zoo.blueprint import blueprint

MOST = 10_000  # trials of a study, and steps of one table
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study file that was read: its name, and its trials in order."""

    name: str
    trials: tuple[Trial, ...]


def read_study_file(file: Path) -> StudyFile:
    """Read a study file. Raises SettingError and UnknownName with the file and the key of what is not legal."""
    with reading(f"study file '{file}'", "TOML"):
        content = parse_toml(read_text(file, most=LARGEST_TOML, links=True))
    return study_of(content, file)


def study_of(content: Mapping[str, Any], file: Path) -> StudyFile:
    """The study that a file's content names. Raises SettingError and UnknownName."""
    tables = {key: _tables(file, key, content[key]) for key in ("grid", "trial", *STEPS) if key in content}
    common = _written(file, {key: value for key, value in content.items() if key not in (*tables, "name")})
    name = _name(file, content.get("name", file.stem))
    steps = [
        step for kind in STEPS for place, table in tables.get(kind, ()) for step in _steps(file, kind, place, table)
    ]
    _check_no_step_twice(steps, file)
    folds, likes = ([step for step in steps if step.kind == kind] for kind in ("fold", "like"))
    if likes and not folds:
        raise SettingError(f"study file '{file}' has a table [like], of folds, and names none; add a table [fold]")
    if likes and any(fold.settings.residual for fold in folds):
        raise SettingError(
            f"study file '{file}' has a table [like] and a fold with residuals, and what shares hard from the start "
            "has none; leave one of them out"
        )
    steps = [step for step in steps if step.kind != "like"]
    steps += [Step("like", replace(like.settings, fold=fold)) for fold in folds for like in likes]
    many = (
        (place, one) for place, table in tables.get("grid", ()) for one in _combinations(file, place, common | table)
    )
    single = ((place, _single(file, place, common | table)) for place, table in tables.get("trial", ()))
    named = _at_most(itertools.chain(many, single), file, "trials")
    trials = [_trial(given, steps, f"study file '{file}', {place}") for place, given in named]
    if not trials:
        raise SettingError(f"study file '{file}' names no trial; write a table [grid] or [[trial]]")
    _check_different(trials, file)
    alike: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for trial in trials:
        alike.setdefault(trial.network, []).append(trial.chosen)
    told = {network: telling(chosen) for network, chosen in alike.items()}
    trials = [replace(trial, telling=told[trial.network]) for trial in trials]
    return StudyFile(name, tuple(trials))


def _tables(file: Path, key: str, value: Any) -> list[tuple[str, dict[str, Any]]]:
    """[(place, table)] of a table or an array of tables; dashes in keys may stand for underscores."""
    many = isinstance(value, list)
    found = value if many else [value]
    if not found or not all(isinstance(table, dict) for table in found):
        raise SettingError(f"study file '{file}' has a {key} that is no table; write [{key}] on a line of its own")
    plain = [_written(file, table) for table in found]
    return [(f"[[{key}]] {number}" if many else f"[{key}]", table) for number, table in enumerate(plain, 1)]


def _written(file: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with underscores in its keys. Raises SettingError for a key that is there in both spellings."""
    plain = {name.replace("-", "_"): value for name, value in table.items()}
    if len(plain) < len(table):
        twice = next(name for name in table if "-" in name and name.replace("-", "_") in table)
        raise SettingError(f"study file '{file}' has both {twice} and {twice.replace('-', '_')}; leave one out")
    return plain


def _name(file: Path, name: Any) -> str:
    """The study's name, which is that of its folder too."""
    if not isinstance(name, str) or not name:
        raise SettingError(f"study file '{file}' has a name that is no text; write it in quotes or leave it out")
    if name.startswith(".") or "/" in name or not name.isprintable():
        raise SettingError(f"study file '{file}' has the name {name!r}, which no folder can have; give it another")
    return name


def _at_most(entries: Iterable[T], file: Path, what: str) -> list[T]:
    """The entries, of which there may be more than fit into memory. Raises SettingError beyond MOST."""
    found = list(itertools.islice(entries, MOST + 1))
    if len(found) > MOST:
        raise SettingError(f"study file '{file}' names more than {MOST:,} {what}; leave some out")
    return found


def _combinations(file: Path, place: str, table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One table for each choice of an entry from every list; what is itself a list stands in a list of lists."""
    choices = {name: value if _multiplies(name, value) else [value] for name, value in table.items()}
    for name, values in choices.items():
        if not values:
            raise SettingError(f"study file '{file}', {place}: `{name}` is an empty list; fill it or leave it out")
    for chosen in itertools.product(*choices.values()):
        yield dict(zip(choices, chosen, strict=True))


def _single(file: Path, place: str, table: dict[str, Any]) -> dict[str, Any]:
    """The table of a single trial. Raises SettingError for a list, which would make several."""
    for name, value in table.items():
        if _multiplies(name, value):
            raise SettingError(
                f"study file '{file}', {place}: {name} is a list, and a [[trial]] is a single one; give it one value "
                "there, or write [[grid]]"
            )
    return table


def _multiplies(name: str, value: Any) -> bool:
    """Whether a value is several: a list, of lists where the setting is a list itself."""
    own = name in ("windows", "smaller", "thresholds", "groups", "keep", "ignore")
    return isinstance(value, list) and (not own or (bool(value) and all(isinstance(entry, list) for entry in value)))


def _steps(file: Path, kind: str, place: str, table: Mapping[str, Any]) -> Iterator[Step]:
    """The steps of one table."""
    where = f"study file '{file}', {place}"
    for given in _at_most(_combinations(file, place, table), file, "steps"):
        try:
            yield step_of(kind, given, where)
        except FoldnetError as error:
            raise _placed(error, where) from None


def _trial(given: Mapping[str, Any], steps: list[Step], place: str) -> Trial:
    """One trial, with the steps that can follow it."""
    for key in given:
        if isinstance(given[key], dict) and key in STEPS:
            raise SettingError(f"{place}: a {key} follows all trainings; write [{key}] on a line of its own")
        if isinstance(given[key], dict) and key != "arch_option":
            raise UnknownName(f"{place}: table [{key}] does not exist{nearest(key, ('grid', 'trial', *STEPS))}")
        if key == "data_dir":
            raise SettingError(f"{place}: `data_dir` says where files lie on one machine; give it on the command line")
    try:
        settings = train_settings(given)
        blueprint(settings.arch, **settings.named)  # a name that is none is found now, not when its turn comes
    except FoldnetError as error:
        raise _placed(error, place) from None
    return Trial(settings, tuple(step for step in steps if step.fits(settings)), place)


def _placed(error: FoldnetError, place: str) -> FoldnetError:
    """An error with the place in the file before it, once."""
    text = str(error)
    return error if text.startswith(place) else type(error)(f"{place}: {text}")


def _check_different(trials: list[Trial], file: Path) -> None:
    """Raise SettingError for two trials that are one."""
    seen: dict[str, Trial] = {}
    for trial in trials:
        other = seen.setdefault(trial.name, trial)
        if other is not trial:
            where = trial.place.removeprefix(f"study file '{file}', ")
            said = f"{other.place} names {trial.title} twice"
            if trial.place != other.place:
                said = f"{other.place} and {where} both name {trial.title}"
            raise SettingError(f"{said}, two trials that are one; leave one out")


def _check_no_step_twice(steps: list[Step], file: Path) -> None:
    """Raise SettingError for two steps that are one."""
    seen = set()
    for step in steps:
        if step.name in seen:
            raise SettingError(f"study file '{file}' names {step.title} twice; leave one out")
        seen.add(step.name)
