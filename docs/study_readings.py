"""What docs/ reads from the results of studies in examples/benchmarks/, whatever number of their trials is finished."""

from collections.abc import Iterable, Iterator
from itertools import islice
from math import sqrt

from readings import FILES, read

from foldnet.analysis.seeds import DRAWS
from foldnet.studies.file import StudyFile, read_study_file
from foldnet.studies.results import read_results
from foldnet.studies.seeds import seeds_of
from foldnet.studies.table import SURE, Line, StudyReport, difference, table_of

EXAMPLES = FILES.parent


def file(path: str) -> str:
    """What stands in a file of the repository."""
    return (EXAMPLES.parent / path).read_text(encoding="utf-8")


def study_file(name: str) -> StudyFile:
    """A study of examples/."""
    return read_study_file(EXAMPLES / f"{name}.toml")


def study_table(name: str, against: str | None = None) -> StudyReport:
    """What `foldnet study table` says of its results."""
    return table_of(name, read_results(FILES / f"{name}.json"), (), against)


def finished_of(name: str) -> tuple[int, int]:
    """How many trials have results, and how many there are. Raises AssertionError for results that are not of the file."""
    named, found = ({trial.name for trial in study_file(name).trials}, {one["trial"] for one in read(name)["results"]})
    assert found <= named, f"{name}.json has trials that {name}.toml does not name"
    return len(found), len(named)


def epochs_of(name: str) -> int:
    """The epochs of every trial. Raises ValueError where they differ."""
    (epochs,) = {trial.settings.epochs for trial in study_file(name).trials}
    return epochs


def machines_of(name: str) -> str:
    """What the trials were measured with, in words."""
    told = []
    for result in read(name)["results"]:
        found = result["machine"]
        threads = f"{found['threads']} thread{'s' * (found['threads'] > 1)} a trial"
        words = f"{found['processor']}, {found['device']}, {threads}, torch {found['torch'].split('+')[0]}"
        told += [] if words in told else [words]
    return "; ".join(told)


def seeds_table(name: str, arch: str) -> str:
    """What `foldnet render seeds` prints, in Markdown."""
    path = FILES / f"{name}.json"
    (table,) = seeds_of(read_results(path), path, arch)[0].parts()
    rows = (table.columns, ("---",) * len(table.columns), *table.rows)
    return "".join(f"| {' | '.join('-' if cell is None else str(cell) for cell in row)} |\n" for row in rows)


def compared(name: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What one network scores more than another, a sentence for each data set on which both have finished."""
    lines = study_table(name).lines
    for dataset in dict.fromkeys(line.dataset for line in lines):
        there = {line.name: line for line in lines if line.dataset == dataset}
        yield from (_compared(there[one], there[other]) for one, other in pairs if {one, other} <= there.keys())


def saved_by_folds(name: str) -> int | None:
    """The most numbers that a fold stores less than the network that it comes from; None without folds."""
    lines = study_table(name).lines
    stored = {(line.dataset, line.name): line.stored.mean for line in lines}
    saved = [stored[line.dataset, line.of] - line.stored.mean for line in lines if line.step == "fold" and line.of]
    return round(max(saved)) if saved else None


def _compared(one: Line, other: Line) -> str:
    """One sentence."""
    ours, theirs = (dict(zip(line.score.seeds, line.score.values, strict=True)) for line in (one, other))
    common = tuple(seed for seed in ours if seed in theirs)
    found = difference(common, [100 * (ours[seed] - theirs[seed]) for seed in common])
    sure = "" if found.interval is None else f" ({found.interval[0]:+.2f} to {found.interval[1]:+.2f})"
    sizes = " and ".join(f"{round(line.parameters.mean):,}" for line in (one, other))
    seeds = f"{len(common)} seed{'s' * (len(common) > 1)}"
    return f"{one.dataset}: {one.name} to {other.name}, {sizes} parameters: {found.mean:+.2f} points{sure}, {seeds}."


def first_lines(text: str, count: int) -> str:
    """The first lines of a text."""
    return "".join(islice(text.splitlines(keepends=True), count))


def permutations() -> int:
    """The orders that the permutation test draws."""
    return DRAWS


def student(seeds: int) -> str:
    """How many deviations the interval of a mean reaches to each side."""
    from scipy.stats import t

    return f"{float(t.ppf((1 + SURE) / 2, seeds - 1)) / sqrt(seeds):.0f}"


def parameters(arch: str) -> str:
    """The parameters of a network, nothing allocated."""
    import torch

    from foldnet.zoo.blueprint import build

    with torch.device("meta"):
        return f"{sum(one.numel() for one in build(arch).parameters()):,}"
