"""foldnet runs --compare: any runs and their folds as one table, seeds taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from foldnet.bounds import checked
from foldnet.errors import RunError, SettingError
from foldnet.folding.folds import open_fold, settings_of
from foldnet.folding.settings import FoldSettings
from foldnet.proof.fold_report import read_fold_report
from foldnet.store.artifact import FOLD, RUN
from foldnet.store.codec import to_plain
from foldnet.studies.results import fold_result, run_result
from foldnet.studies.table import StudyReport, table_of
from foldnet.studies.trial import Step, Trial, digest_of
from foldnet.training.runs import open_run
from foldnet.verbs.train import read_report


@checked
def compare(runs: Sequence[Path | str], *, against: str | None = None) -> StudyReport:
    """Runs and the folds inside them as the table of a study: what differs in nothing but the seed is one line.

    `against` names the line that the others are compared to, seed by seed. Raises RunError for what is no finished run,
    SettingError for none at all, and where two runs are one training, UnknownName for a line that is not there.
    """
    if not runs:
        raise SettingError("there is nothing to compare; name some runs")
    found: dict[str, dict[str, Any]] = {}
    for folder in map(Path, runs):
        result = _result(folder)
        if result["trial"] in found:
            raise SettingError(f"'{folder}' was trained as another of the runs, seed included; leave one out")
        found[result["trial"]] = result
    return table_of("comparison", list(found.values()), (), against)


def _result(folder: Path) -> dict[str, Any]:
    """A run folder as a study's result."""
    run = open_run(folder)
    if not (folder / "report.json").is_file():
        raise RunError(f"run '{folder}' is not finished; train it on with `foldnet train --resume --out {folder}`")
    steps = []
    for place in FOLD.all_in(folder):
        report = read_fold_report(open_fold(place)).to_json()
        own = settings_of(place)
        known = {entry.name: own[entry.name] for entry in fields(FoldSettings) if entry.name in own}
        steps.append(fold_result(Step("fold", FoldSettings(**known)), place, report))
    result = run_result(Trial(run.settings, (), str(folder)), read_report(folder).to_json(), steps, folder)
    built, begun = run.blueprint, RUN.config(folder).get("from")
    for name, value in (("shared_hard", dict(built.ties)), ("plan", to_plain(built.groups)), ("from", begun)):
        if value:  # or it would have the name of another training of that network
            result["settings"][name] = digest_of(value)[:8]
            result["trial"] += f"-{result['settings'][name]}"
    return result
