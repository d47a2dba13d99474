"""The page of a study: its networks beside each other, what each training gave, and how each went."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foldnet.drawing.charts import Chart, Curve, chart_svg, legend
from foldnet.errors import RunError
from foldnet.show.html import element, part_of_page
from foldnet.show.page import Section, copied, document, figure, folded_away
from foldnet.show.report import Table, counted
from foldnet.store.codec import read_json
from foldnet.store.seals import SEAL
from foldnet.studies.results import RESULTS, results_of
from foldnet.studies.table import StudyReport, table_of
from foldnet.studies.trial import RUNS
from foldnet.training.checkpoint import read_metrics
from foldnet.training.runs import open_run
from foldnet.verbs.pages.commands import trial_command
from foldnet.verbs.pages.sources import Source, command, said, source_of
from foldnet.verbs.train import read_report


@dataclass(frozen=True, slots=True)
class Course:
    """One training of a study: its name, what came of it, and its metrics by epoch where its run is still there."""

    trial: str
    title: str
    settings: Mapping[str, Any]
    train: Mapping[str, Any]
    seed: int
    metrics: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class StudyPage:
    """What the page of a study says; `sealed` where its results state their digest."""

    name: str
    command: str
    report: StudyReport
    courses: tuple[Course, ...]
    source: Source
    sealed: bool


def page_of_study(folder: Path) -> StudyPage:
    """Everything that a study's folder, or a result file, says. Raises RunError for what is damaged or was changed."""
    results, name = results_of(folder), said(folder)
    place, file = (folder, RESULTS) if folder.is_dir() else (folder.parent, folder.name)
    courses = _told_apart([_course(place, result, file) for result in results])
    source = source_of(place, file, command("study", "table", name))
    is_sealed = SEAL in read_json(place / file)
    return StudyPage(name, command("report", name), table_of(folder.stem, results), courses, source, is_sealed)


def _course(study: Path, result: Mapping[str, Any], file: str) -> Course:
    """One training, with its metrics where its run lies in the study's folder. Raises RunError where that says another
    score than the result."""
    settings, run = result["settings"], study / RUNS / Path(result["trial"]).name
    metrics: list[dict[str, Any]] = []
    if (run / "config.json").is_file():
        open_run(run)
        metrics = read_metrics(run)
        if (run / "report.json").is_file() and read_report(run).score != result["train"]["score"]:
            raise RunError(
                f"'{study / file}' says another score of trial {result['trial']} than its run '{run}', so that one of "
                "them was changed; run the study again"
            )
    title = f"{settings['arch']} on {settings['dataset']}, seed {settings['seed']}"
    return Course(result["trial"], title, settings, result["train"], settings["seed"], tuple(metrics))


def _told_apart(courses: Sequence[Course]) -> tuple[Course, ...]:
    """Trainings of one name, which differ in settings that are no part of it, named by their trials too."""
    count = Counter(course.title for course in courses)
    return tuple(
        replace(course, title=f"{course.title} ({course.trial})") if count[course.title] > 1 else course
        for course in courses
    )


def study_html(page: StudyPage) -> str:
    """The page."""
    lines = page.report.lines
    networks = len({(line.name, line.dataset) for line in lines})
    lead = (
        element("p", f"{counted(networks, 'network')}, {counted(len(page.courses), 'training')}"),
        element("p", "Made by ", copied(page.command, "Copy the command"), class_="made"),
    )
    return document(
        f"foldnet: study {page.name}", lead, list(_sections(page)), {"stops": [], "epochs": [], "films": {}}
    )


def _sections(page: StudyPage) -> Iterator[Section]:
    """The table, score against size, every training, and how they went."""
    source = page.source.to_html()
    unsealed = "The results state no digest, so that a change to them would not be noticed."
    note = None if page.sealed else element("p", unsealed, class_="note")
    yield Section("networks", "Its networks", (*map(part_of_page, page.report.parts()), note, source))
    charts = list(_sizes(page))
    if charts:
        pictures = [figure(chart_svg(chart), (f"{chart.label}.", legend(chart))) for chart in charts]
        about = element(
            "p", "A point is the mean of a network's seeds; pointing at it names it, and so does the table."
        )
        yield Section("sizes", "Score against size", (about, element("div", pictures, class_="row"), source))
    again = ((course.title, trial_command(course.settings)) for course in page.courses)
    items = [element("li", f"{title}: ", copied(made)) for title, made in again if made]
    commands = folded_away("Commands that train the same", element("ul", items)) if items else None
    yield Section("trainings", "Its trainings", (part_of_page(_trainings(page)), commands, source))
    charts = list(_courses(page))
    if charts:
        pictures = [figure(chart_svg(chart), (f"{chart.label}.", legend(chart))) for chart in charts]
        said = element("p", "Source: ", element("code", "metrics.jsonl"), " of each run", class_="source")
        yield Section("courses", "How they went", (element("div", pictures, class_="row"), said))


def _sizes(page: StudyPage) -> Iterator[Chart]:
    """A chart for each data set, of networks as trained and of their folds."""
    for dataset in dict.fromkeys(line.dataset for line in page.report.lines):
        lines = [line for line in page.report.lines if line.dataset == dataset]
        curves = []
        for kind in dict.fromkeys(line.step or "trained" for line in lines):
            own = [line for line in lines if (line.step or "trained") == kind]
            points = tuple((line.parameters.mean / 1e6, line.score.mean) for line in own)
            told = tuple(f"{line.name}: {line.parameters.mean:,.0f} parameters, {line.score.mean:.4f}" for line in own)
            curves.append(Curve(kind, points, joined=False, said=told))
        label = f"Test {lines[0].measure} on {dataset} against parameters"
        share = all(line.share for line in lines)
        yield Chart(label, "million parameters", lines[0].measure, tuple(curves), percent=share)


def _trainings(page: StudyPage) -> Table:
    """A row a training."""
    columns = ("training", "trial", "epochs", "test", "best validation", "seconds")
    rows = tuple(
        (course.title, course.trial, train.get("epochs"), _score(train, "score"), _score(train, "best_score"), seconds)
        for course in page.courses
        for train in [course.train]
        for seconds in [round(float(train["seconds"]), 1)]
    )
    return Table("", columns, rows)


def _score(train: Mapping[str, Any], name: str) -> str | None:
    """A score as tables write it; None where it was not measured."""
    value = train.get(name)
    if not isinstance(value, int | float):
        return None
    return f"{100 * value:.2f} %" if train.get("test_accuracy") is not None else f"{value:.4f}"


def _courses(page: StudyPage) -> Iterator[Chart]:
    """Validation score, and training loss, by epoch: a curve a training."""
    share = all(course.train.get("test_accuracy") is not None for course in page.courses)
    for label, key in (("Validation score by epoch", "validation_score"), ("Training loss by epoch", "train_loss")):
        curves = []
        for course in page.courses:
            found = [(line["epoch"], line.get(key)) for line in course.metrics]
            points = tuple((float(epoch), float(value)) for epoch, value in found if isinstance(value, int | float))
            if points:
                curves.append(Curve(course.title, points))
        if curves:
            yield Chart(label, "epoch", "", tuple(curves), percent=share and key == "validation_score")
