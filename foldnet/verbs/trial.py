"""One trial, done where it is asked to be: its training, taken up where it stopped, and what follows that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from foldnet.drawing.heatmaps import chosen_epochs
from foldnet.errors import FoldnetError
from foldnet.folding.folds import open_fold
from foldnet.store.codec import read_json
from foldnet.studies.results import fold_result, like_result, run_result
from foldnet.studies.trial import Site, Step, Trial
from foldnet.training.settings import flat
from foldnet.verbs.fold import fold
from foldnet.verbs.lsm import lsm, lsm_history
from foldnet.verbs.train import train
from foldnet.zoo.code import code_settled


def do_trial(trial: Trial, site: Site, observer: Any) -> dict[str, Any]:
    """Train, or go on, or read what is finished; then each step likewise. Returns the trial's result as plain data.

    Raises what `foldnet.train` and `foldnet.fold` raise, and Stopped where the observer wants the end.
    """
    torch.set_num_threads(site.threads)
    folder = site.run_of(trial)
    own = flat(
        replace(trial.settings, device=site.device, data_dir=None if site.data_dir is None else str(site.data_dir))
    )
    with code_settled(site.code):
        report = train(out=folder, resume=True, download=site.download, observer=observer, **own)
        steps = [DOING[step.kind](step, folder, site, observer) for step in trial.steps]
    return run_result(trial, report.to_json(), steps, folder)


def _fold(step: Step, run: Path, site: Site, observer: Any) -> dict[str, Any]:
    """The fold of a run, made unless it is there."""
    place = run / step.name
    with suppress(FoldnetError):
        open_fold(place)
        return fold_result(step, place, read_json(place / "report.json"))
    own = {name: getattr(step.settings, name) for name in step.settings.__dataclass_fields__}
    force = place.exists()
    made = fold(run, out=place, force=force, data_dir=site.data_dir, device=site.device, observer=observer, **own)
    return fold_result(step, place, made.to_json())


def _lsm(step: Step, run: Path, site: Site, observer: Any) -> dict[str, Any]:
    """How alike the layers of a run came to be, and with `history` how it came about, of at most eight epochs."""
    report = lsm(run, metric=step.settings.metric).to_json()
    kept = ("name", "layers", "templates", "matrix", "chance")
    groups = [{name: group[name] for name in kept} for group in report["groups"]]
    told = {"metric": report["metric"], "groups": groups}
    if step.settings.history:
        told["history"] = _history(run)
    return step.to_json() | {"report": told}


def _history(run: Path) -> dict[str, Any]:
    """Of each group the matrices of some epochs, the first before training."""
    groups = lsm_history(run)
    epochs = list(chosen_epochs(min(map(len, groups.values())) - 1))
    return {"epochs": epochs, "matrices": {name: matrices[epochs].tolist() for name, matrices in groups.items()}}


def _like(step: Step, run: Path, site: Site, observer: Any) -> dict[str, Any]:
    """The network of a fold of the run, trained from the start in a run folder beside it."""
    folder, fold_of = run.with_name(f"{run.name}-{step.name}"), step.settings.fold
    own: dict[str, Any] = {"data_dir": None if site.data_dir is None else str(site.data_dir), "device": site.device}
    if step.settings.epochs is not None:
        own["epochs"] = step.settings.epochs
    report = train(out=folder, resume=True, like=run / fold_of.name, observer=observer, **own)
    return like_result(step, folder, report.to_json())


DOING: dict[str, Callable[[Step, Path, Site, Any], dict[str, Any]]] = {"fold": _fold, "lsm": _lsm, "like": _like}
