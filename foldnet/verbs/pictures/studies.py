"""Pictures of a study: test error against parameters, and the similarity matrices of seeds side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.drawing.output import FIGURE_ENDINGS, STUDY, Output
from foldnet.options import Option

if TYPE_CHECKING:
    from foldnet.drawing.efficiency_figure import Point
    from foldnet.studies.seeds import SeedsReport
    from foldnet.studies.table import Line


@dataclass(frozen=True, slots=True)
class Efficiency(Output):
    """Draw test error against parameters (the paper's Figure 3), of a study's networks and their folds."""

    of, name, endings = STUDY, "efficiency.svg", FIGURE_ENDINGS
    published: Annotated[bool, Option("Add what papers published on these datasets, as hollow marks.")] = False
    results: Annotated[str | None, Option("Result file of another study, to draw its networks too.")] = None

    def write(self, what: Path, file: Path, observer: Any) -> None:
        """Raises RunError for what is no study."""
        from foldnet.drawing.efficiency_figure import efficiency_figure
        from foldnet.drawing.figures import write_figure
        from foldnet.studies.results import results_of
        from foldnet.studies.table import table_of

        results = results_of(what, [] if self.results is None else [Path(self.results)])
        lines = table_of("", results).lines
        points = {name: list(_points(lines, name, self.published)) for name in dict.fromkeys(o.dataset for o in lines)}
        axis = "test error (%)" if all(line.share for line in lines) else f"test {lines[0].measure}" if lines else ""
        write_figure(efficiency_figure(points, axis=axis, title=_title(results, lines)), file)


def _title(results: Sequence[Mapping[str, Any]], lines: Sequence[Line]) -> str:
    """How long was trained, and with how many seeds."""
    epochs = sorted({result["train"]["epochs"] for result in results})
    seeds = sorted({len(line.score.seeds) for line in lines})
    return f"{_span(epochs)} epochs, {_span(seeds)} seed{'s' * (seeds[-1:] > [1])} a network"


def _span(numbers: Sequence[int]) -> str:
    """One number, or the first and the last."""
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}" if numbers else "0"


def _points(lines: Sequence[Line], dataset: str, published: bool) -> Iterator[Point]:
    """The networks of one data set."""
    from foldnet.drawing.efficiency_figure import Point
    from foldnet.drawing.published import PUBLISHED

    there = {line.name: line for line in lines if line.dataset == dataset}
    for line in there.values():
        family, _, size = line.arch.partition("-")
        settings = line.name.removeprefix(line.arch).removeprefix(", ")
        label = "" if line.step else "\n".join(filter(None, (size, settings)))
        deviation = (line.score.deviation or 0.0) * (100 if line.share else 1)
        source = there[line.of] if line.step == "fold" and line.of else None
        parent = None if source is None else (source.parameters.mean, _height(source))
        own: dict[str, Any] = {"step": line.step, "parent": parent, "curve": settings}
        yield Point(family, label, line.parameters.mean, _height(line), deviation, **own)
    for one in PUBLISHED if published else ():
        if dataset in one.errors:
            family, _, size = one.arch.partition("-")
            yield Point(family, size, one.parameters, one.errors[dataset], published=True)


def _height(line: Line) -> float:
    """What is drawn of a score: the error in per cent of a share."""
    return 100 * (1 - line.score.mean) if line.share else line.score.mean


@dataclass(frozen=True, slots=True)
class Seeds(Output):
    """Draw the layer similarity matrices of a network's seeds side by side (the paper's Figure 7).

    Says what they have in common, too. The study's file needs a table [lsm].
    """

    of, name, endings = STUDY, "seeds.svg", FIGURE_ENDINGS
    arch: Annotated[str | None, Option("Which network of the study.  [default: the one with most seeds]")] = None
    dataset: Annotated[str | None, Option("Trained on which dataset.  [default: the one with most seeds]")] = None

    def write(self, what: Path, file: Path, observer: Any) -> SeedsReport:
        """Raises RunError where the study kept no matrices, UnknownName for a network that is not in it."""
        from foldnet.drawing.figures import write_figure
        from foldnet.drawing.seeds_figure import seeds_figure
        from foldnet.studies.results import results_of
        from foldnet.studies.seeds import seeds_of, summary

        results = results_of(what)
        report, groups = seeds_of(results, what, self.arch, self.dataset)
        drawn = {"arch": report.arch, "dataset": report.dataset}
        epochs = sorted({one["train"]["epochs"] for one in results if drawn.items() <= one["settings"].items()})
        title = f"{report.arch} on {report.dataset}, {_span(epochs)} epochs, by {report.metric}"
        shares = [(one.share, summary(one)) for one in report.groups[:-1]]
        write_figure(seeds_figure(groups, shares, report.seeds, title), file)
        return report
