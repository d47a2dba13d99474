"""foldnet study: run the trials of a study file, and say what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foldnet.bounds import checked
from foldnet.errors import RunError, SettingError
from foldnet.hardware import cores, gpus
from foldnet.show.report import Report, Table, Text
from foldnet.store.artifact import STUDY
from foldnet.store.files import new_folder, refuse_existing, studies_home, write_whole
from foldnet.studies.course import Course, Engine, Unwatched, Watcher, run_trials
from foldnet.studies.file import StudyFile, read_study_file
from foldnet.studies.local import Local
from foldnet.studies.results import RESULTS, known_results, results_of, write_results
from foldnet.studies.table import StudyReport, table_of
from foldnet.studies.trial import RUNS, Site, Trial
from foldnet.zoo.code import file_named

ENGINES = ("local", "ray")
DOES = "foldnet.verbs.trial"  # what does a trial


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial before it runs: what it is, whether it has a result, and what it will take (None: not known yet)."""

    trial: str
    title: str
    settings: Mapping[str, Any]
    steps: tuple[str, ...]
    state: str
    memory_bytes: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class StudyPlan(Report):
    """What `foldnet study run --dry-run` says: the trials, and the seconds that all of them still take, None where of
    some no epoch was trained yet."""

    study: str
    folder: str
    jobs: int
    trials: tuple[Planned, ...]
    seconds: float | None

    def parts(self) -> Iterator[Table | Text]:
        """A row a trial."""
        rows = tuple(
            (
                one.trial,
                one.title,
                ", ".join(one.steps),
                one.state,
                f"{one.memory_bytes / 2**30:.1f} GiB",
                _time(one.seconds),
            )
            for one in self.trials
        )
        yield Table(
            f"{self.study}, in '{self.folder}'", ("trial", "network", "then", "state", "memory", "time left"), rows
        )
        known = "not known before each network has trained an epoch" if self.seconds is None else _time(self.seconds)
        yield Text(f"time left with {self.jobs} at one time: {known}; nothing was run")


def _time(seconds: float | None) -> str:
    """Hours and minutes."""
    if seconds is None:
        return ""
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


@checked
def run_study(
    file: Path | str,
    *,
    out: Path | str | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    retries: int = 0,
    fail_fast: bool = False,
    dry_run: bool = False,
    results: Sequence[Path | str] = (),
    engine: str = "local",
    data_dir: Path | None = None,
    device: str = "auto",
    download: bool = False,
    watcher: Watcher | None = None,
) -> StudyReport | StudyPlan:
    """Run a study file's trials, `jobs` at one time (default: 1, over a Ray cluster as many as it has room for) with
    `threads` each (default: the cores shared out).

    The study's folder is `out`, else studies/NAME beside where runs lie. What has a result there, or in one of the
    `results` files, is not run again; what was stopped goes on. A trial that fails is tried `retries` times more, and
    the report says why it failed; with `fail_fast` the first that fails ends the others, which save. Ctrl-C saves and
    ends all (Stopped is raised). Raises SettingError and UnknownName for what is wrong in the file, RunError for a
    folder of another study, or one that another process runs.
    """
    study, watcher = read_study_file(Path(file)), watcher or Unwatched()
    if jobs is not None and jobs < 1:
        raise SettingError(f"`jobs={jobs}` is not legal; give a whole number of at least 1")
    if threads is not None and threads < 1:
        raise SettingError(f"`threads={threads}` is not legal; give a whole number of at least 1")
    if engine not in ENGINES:
        raise SettingError(f"`engine={engine!r}` is not legal; choose {' or '.join(ENGINES)}")
    folder = Path(out) if out is not None else studies_home() / study.name
    site = Site(folder, data_dir, device, threads or max(cores() // (jobs or 1), 1), download, file_named())
    _check_own(folder, study)
    files = [Path(one) for one in results]
    found = known_results([*files, *([folder / RESULTS] if (folder / RESULTS).exists() else [])], study.trials)
    course = Course(study.trials, site, found)
    if dry_run:
        return _plan(study, course, jobs or 1)
    waiting = [trial for trial in study.trials if trial.name not in found]
    runner = _engine(engine, jobs, site) if waiting else None  # a local one begins to import what trials need
    if engine == "local":
        from foldnet.studies.estimate import check_memory

        check_memory(waiting, jobs or 1)
    _make(folder, study)
    write_results(folder, study.trials, found)
    if runner is not None:
        run_trials(course, runner, watcher, retries=retries, fail_fast=fail_fast)
    return _report(study, course)


def study_table(folder: Path | str, *, against: str | None = None, results: Sequence[Path | str] = ()) -> StudyReport:
    """What the results of a study's folder, or a result file, say together. `against` names a line of the table that
    the others are compared to, seed by seed. Raises RunError, UnknownName."""
    place = Path(folder)
    name = place.name if place.is_dir() else place.stem
    return table_of(name, results_of(place, [Path(one) for one in results]), (), against)


def write_table(report: StudyReport, file: Path, *, force: bool = False) -> None:
    """Write a table as .md or .csv. Raises SettingError for another ending, OutputError where the file exists
    already."""
    form = {".md": "markdown", ".csv": "csv"}.get(file.suffix)
    if form is None:
        raise SettingError(f"'{file}' has an ending that no table has; give a name that ends in .md or .csv")
    refuse_existing(file, force=force)
    write_whole(file, report.printed(form))


def _engine(name: str, jobs: int | None, site: Site) -> Engine:
    """Where the trials run."""
    if name == "ray":
        from foldnet.studies.rays import Ray

        return Ray(_do, jobs, site)
    local = Local(_do, jobs or 1, preload=DOES)
    # Which asks torch, of which the import takes 2 s: beside that of the processes, and only now.
    local.gpus = len(gpus()) if site.device in ("auto", "cuda") else 0
    return local


def _do(trial: Trial, site: Site, observer: Any) -> dict[str, Any]:
    """One trial, where it runs: here nothing of what it needs is imported."""
    from foldnet.verbs.trial import do_trial

    return do_trial(trial, site, observer)


def _check_own(folder: Path, study: StudyFile) -> None:
    """Raise RunError for a folder that is no study's, or another one's."""
    if not folder.exists():
        return
    name, _ = STUDY.open(folder, lambda config: str(config["name"]))
    if name != study.name:
        raise RunError(f"'{folder}' is the folder of study '{name}', not of '{study.name}'; give `out` another name")


def _make(folder: Path, study: StudyFile) -> None:
    """The study's folder, unless it is there."""
    if folder.exists():
        return
    with new_folder(folder) as temporary:
        (temporary / RUNS).mkdir()
        STUDY.write_config(temporary, {"name": study.name})


def _plan(study: StudyFile, course: Course, jobs: int) -> StudyPlan:
    """What would run."""
    from foldnet.studies.estimate import memory_of, seconds_of

    left = seconds_of(study.trials, course.site)
    trials = tuple(
        Planned(
            trial.name,
            trial.title,
            trial.chosen,
            tuple(step.title for step in trial.steps),
            course.state(trial),
            memory_of(trial),
            0.0 if course.state(trial) == "finished" else left[trial.name],
        )
        for trial in study.trials
    )
    known = [one.seconds for one in trials if one.seconds is not None]
    total = sum(known) / jobs if len(known) == len(trials) else None
    return StudyPlan(study.name, str(course.site.folder), jobs, trials, total)


def _report(study: StudyFile, course: Course) -> StudyReport:
    """What came out, and what did not."""
    results = [course.results[trial.name] for trial in study.trials if trial.name in course.results]
    missing = [
        (trial.title, course.failed.get(trial.name, "waiting"))
        for trial in study.trials
        if trial.name not in course.results
    ]
    return replace(table_of(study.name, results, missing))
