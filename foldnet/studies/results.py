"""Result files: what came of a study's trials, without paths, so that they are read on any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from foldnet.errors import RunError
from foldnet.store.artifact import CHECKPOINT, RUN, STUDY
from foldnet.store.codec import read_json
from foldnet.store.files import write_json
from foldnet.store.seals import SEAL, check_sealed, sealed
from foldnet.studies.trial import Step, Trial

RESULTS = "results.json"

FORMS = ("finetuned", "recalibrated", "tied")  # of a fold: the first that was measured is what a user would take

Result = Mapping[str, Any]

REAL = (int, float)
MADE = {"score": REAL, "parameters": REAL, "stored": REAL}  # what is said of every network
NONE = dict.fromkeys(MADE, 0)  # of a step that makes none


def run_result(trial: Trial, report: Mapping[str, Any], steps: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What is kept of a training and the steps that followed it: no path, and what it was measured with."""
    own = {key: value for key, value in report.items() if key != "run"}
    stored = numbers_in(folder / "last" / CHECKPOINT, "model/")
    machine = RUN.config(folder)["machine"]
    names = {"trial": trial.name, "settings": trial.chosen}
    return names | {"train": own | {"stored": stored}, "steps": steps, "machine": machine}


def fold_result(step: Step, place: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a fold."""
    own = {key: value for key, value in report.items() if key not in ("run", "fold", "proof")}
    score = next(own["score"][form] for form in FORMS if own["score"][form] is not None)
    made = {"score": score, "parameters": own["parameters"]["folded"]}
    return step.to_json() | {"made": made | {"stored": numbers_in(place / "weights.safetensors")}, "report": own}


def like_result(step: Step, folder: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a training that is like a fold."""
    own = {key: value for key, value in report.items() if key != "run"}
    made = {key: own[key] for key in ("score", "parameters", "seconds")}
    return step.to_json() | {
        "made": made | {"stored": numbers_in(folder / "last" / CHECKPOINT, "model/")},
        "report": own,
    }


def numbers_in(file: Path, part: str = "") -> int:
    """How many numbers a file stores in tensors of floating point, of those whose names begin with `part`."""
    from foldnet.store.tensors import list_tensors

    listed, _ = list_tensors(file)
    return sum(prod(shape) for name, kind, shape in listed if name.startswith(part) and "F" in kind)


def write_results(folder: Path, trials: Sequence[Trial], results: Mapping[str, Result]) -> None:
    """Write the results that there are, in the order of the trials: whole, whatever happens meanwhile, and with a
    digest that tells when they were changed."""
    found = [results[trial.name] for trial in trials if trial.name in results]
    write_json(folder / RESULTS, sealed({"results": found}))


def read_results(file: Path) -> list[Result]:
    """The results in a file. Raises RunError for a file that is none, or whose digest, which what was put together by
    hand has not, says that it was changed."""
    content = read_json(file)
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or not all(map(_is_result, results)):
        raise RunError(f"'{file}' is not a study's result file; give the {RESULTS} of a study")
    if SEAL in content:
        check_sealed(content, file, "study")
    return results


def _is_result(entry: Any) -> bool:
    """Whether it has the parts of a result, and in them what tables read."""
    if not _has(entry, trial=str, settings=dict, train=dict, steps=list):
        return False
    settings, train = entry["settings"], entry["train"]
    known = _has(settings, arch=str, dataset=str, seed=int) and _has(train, measure=str, better=str, seconds=REAL)
    accuracy = train.get("test_accuracy", "")
    measured = _has(train, **MADE) and (accuracy is None or isinstance(accuracy, REAL))
    steps = entry["steps"]
    return known and measured and all(_has(one, kind=str) and _has(one.get("made", NONE), **MADE) for one in steps)


def _has(entry: Any, **kinds: Any) -> bool:
    """Whether it is a dict with entries of these types."""
    return isinstance(entry, dict) and all(isinstance(entry.get(name), kind) for name, kind in kinds.items())


def results_of(study: Path, more: Sequence[Path] = ()) -> list[Result]:
    """The results of a study's folder, or of a result file, and of others; of one trial the last. Raises RunError."""
    found: dict[str, Result] = {}
    if study.is_dir():
        STUDY.config(study)
    for file in (study / RESULTS if study.is_dir() else study, *more):
        if not file.is_file():
            raise RunError(f"'{file}' does not exist; run the study first with `foldnet study run`")
        found |= {entry["trial"]: entry for entry in read_results(file)}
    return list(found.values())


def known_results(files: Sequence[Path], trials: Sequence[Trial]) -> dict[str, Result]:
    """The results, by name, of those trials that need not be run: with the steps that follow each, and no others.

    Raises RunError for a file that is none, and for a result whose settings are not those of its name.
    """
    wanted = {trial.name: trial for trial in trials}
    found: dict[str, Result] = {}
    for file in files:
        for entry in read_results(file):
            trial = wanted.get(entry["trial"])
            if trial is None:
                continue
            if entry["settings"] != trial.chosen:
                raise RunError(f"'{file}' has other settings for trial {trial.name} than its name says; it was edited")
            there = {_which(step): step for step in entry["steps"]}
            steps = [there.get(_which(step.to_json())) for step in trial.steps]
            if None not in steps:
                found[trial.name] = {**entry, "steps": steps}
    return found


def _which(step: Mapping[str, Any]) -> str:
    """A step without what came of it."""
    return repr(sorted((key, value) for key, value in step.items() if key not in ("made", "report")))
