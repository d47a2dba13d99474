"""What the trials of a study say together: mean and deviation over seeds, and differences of seeds that pair."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import sqrt
from statistics import fmean, stdev
from typing import Any, ClassVar

from foldnet.errors import UnknownName, nearest
from foldnet.options import check_choice
from foldnet.show.report import Report, Table, Text, percent
from foldnet.studies.trial import telling, title_of

Key = tuple[str, str]  # name and dataset
SURE = 0.95  # of the interval that holds a difference
COLUMNS = ("seeds", "parameters", "stored", "seconds")


@dataclass(frozen=True, slots=True)
class Sample:
    """One number a seed: their mean, and the deviation of the sample where there are two or more."""

    computed: ClassVar = ("mean", "deviation")
    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation, of n - 1; None of a single value."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one network scores than another on the seeds that both have, with the interval (Student's t) that
    holds the mean difference in 95 of 100 such studies; None with fewer than two seeds."""

    seeds: tuple[int, ...]
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One form of one network, over its seeds. `name` tells it from the others of the study, `step` is the kind of step
    that made it and `of` the line of the network that the step follows. `parameters` are trained, `stored` all numbers
    that its file keeps; a `share` is written in per cent."""

    name: str
    dataset: str
    arch: str
    step: str
    measure: str
    better: str
    share: bool
    of: str | None
    score: Sample
    parameters: Sample
    stored: Sample
    seconds: float
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class StudyReport(Report):
    """What a study says. `missing` are trials without a result, each with the reason."""

    study: str
    lines: tuple[Line, ...]
    missing: tuple[tuple[str, str], ...] = ()
    against: str | None = None

    @property
    def exit_status(self) -> int:
        """1 where a trial failed."""
        return 1 if any(why != "waiting" for _, why in self.missing) else 0

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The cells of every line."""
        for line in self.lines:
            cells = (
                line.name,
                line.dataset,
                _score(line),
                str(len(line.score.values)),
                f"{round(line.parameters.mean):,}",
                f"{round(line.stored.mean):,}",
            )
            yield (*cells, *([] if self.against is None else [_difference(line)]), f"{line.seconds:.0f} s")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        against = () if self.against is None else (f"to {self.against}",)
        return ("network", "dataset", "test", "seeds", "parameters", "stored", *against, "time")

    def parts(self) -> Iterator[Table | Text]:
        """A line a network, and what is missing."""
        yield Table(f"{self.study}: mean and standard deviation over seeds", self.columns, tuple(self.rows()))
        yield from (Text(f"{name}: {why}", "note") for name, why in self.missing)

    def printed(self, form: str) -> str:
        """The table as text, in `markdown` or as `csv`. Raises SettingError for another form."""
        check_choice("format", form, ("markdown", "csv"))
        return self.to_markdown() if form == "markdown" else self.to_csv()

    def to_markdown(self) -> str:
        """The table in Markdown."""
        lines = (self.columns, ("---",) * len(self.columns), *self.rows())
        return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)

    def to_csv(self) -> str:
        """Plain numbers, a line a network, with commas between."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("network", "dataset", "measure", "better", "mean", "deviation", *COLUMNS))
        for line in self.lines:
            deviation = "" if line.score.deviation is None else line.score.deviation
            seeds = " ".join(map(str, line.score.seeds))
            numbers = (line.parameters.mean, line.stored.mean, line.seconds)
            own = (line.measure, line.better, line.score.mean, deviation, seeds, *numbers)
            writer.writerow((line.name, line.dataset, *own))
        return text.getvalue()


def table_of(
    study: str,
    results: Sequence[Mapping[str, Any]],
    missing: Sequence[tuple[str, str]] = (),
    against: str | None = None,
) -> StudyReport:
    """The report of a study's results, in the order of its file. `against` names the line that others are compared to.

    Raises UnknownName where there is no such line.
    """
    alike: dict[Key, list[Mapping[str, Any]]] = {}
    for result in results:
        alike.setdefault(_network(result), []).append(result)
    told = {key: telling([result["settings"] for result in some]) for key, some in alike.items()}
    forms = [form for result in results for form in _forms(result, told[_network(result)])]
    order = {key: at for at, key in reversed([*enumerate(form[0] for form in forms)])}
    forms.sort(key=lambda form: order[form[0]])
    lines = [_line(key, [form[1] for form in found]) for key, found in groupby(forms, key=lambda form: form[0])]
    if against is not None:
        names = [line.name for line in lines]
        if against not in names:
            raise UnknownName(f"`against={against!r}` is no network of the study{nearest(against, names)}")
        lines = [_compared(line, lines, against) for line in lines]
    return StudyReport(study, tuple(lines), tuple(missing), against)


def _network(result: Mapping[str, Any]) -> Key:
    """The architecture, and what it was trained on."""
    return result["settings"]["arch"], result["settings"]["dataset"]


def _forms(result: Mapping[str, Any], told: Sequence[str]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The network as trained, and what came of every step."""
    settings = result["settings"]
    further = [f"{name}={settings[name]}" for name in told if name in settings]
    name = ", ".join([settings["arch"], *further])
    train = result["train"]
    common = {"arch": settings["arch"], "seed": settings["seed"], "seconds": train["seconds"], "step": "", "of": None}
    common |= {"measure": train["measure"], "better": train["better"], "share": train["test_accuracy"] is not None}
    trained = {of: train[of] for of in ("score", "parameters", "stored")}
    yield (name, settings["dataset"]), common | trained
    for step in result["steps"]:
        if "made" in step:  # others make no network
            yield (
                (f"{name}, {title_of(step)}", settings["dataset"]),
                common | {"step": step["kind"], "of": name} | step["made"],
            )


def _line(key: Key, forms: Sequence[Mapping[str, Any]]) -> Line:
    """One form over its seeds."""
    ordered = sorted(forms, key=lambda form: form["seed"])
    seeds = tuple(form["seed"] for form in ordered)
    same: dict[str, Any] = {of: ordered[0][of] for of in ("arch", "step", "measure", "better", "share", "of")}
    for of in ("score", "parameters", "stored"):
        same[of] = Sample(seeds, tuple(form[of] for form in ordered))
    return Line(key[0], key[1], seconds=fmean(form["seconds"] for form in ordered), **same)


def _compared(line: Line, lines: Sequence[Line], against: str) -> Line:
    """A line with its difference to another of the same data, where they have seeds in common."""
    other = next((one for one in lines if one.name == against and one.dataset == line.dataset), None)
    if other is None or other.name == line.name:
        return line
    ours, theirs = (dict(zip(one.score.seeds, one.score.values, strict=True)) for one in (line, other))
    seeds = tuple(seed for seed in ours if seed in theirs)
    if not seeds:
        return line
    return replace(line, difference=difference(seeds, [ours[seed] - theirs[seed] for seed in seeds]))


def difference(seeds: tuple[int, ...], values: Sequence[float]) -> Difference:
    """The mean of paired differences with its interval. Source: Student, "The probable error of a mean" (1908)."""
    if len(values) < 2:
        return Difference(seeds, values[0], None)
    from scipy.stats import t

    mean, reach = fmean(values), float(t.ppf((1 + SURE) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return Difference(seeds, mean, (mean - reach, mean + reach))


def _score(line: Line) -> str:
    """Mean and deviation, an accuracy in per cent."""
    mean = percent(line.score.mean) if line.share else f"{line.score.mean:.4f}"
    if line.score.deviation is None:
        return mean
    return f"{mean} ± {100 * line.score.deviation:.2f}" if line.share else f"{mean} ± {line.score.deviation:.4f}"


def _difference(line: Line) -> str:
    """A difference with its interval, in points."""
    found = line.difference
    if found is None:
        return ""
    scale, digits = (100, 2) if line.share else (1, 4)
    mean, *ends = (f"{scale * value:+.{digits}f}" for value in (found.mean, *(found.interval or ())))
    return f"{mean} ({' to '.join(ends)})" if ends else mean
