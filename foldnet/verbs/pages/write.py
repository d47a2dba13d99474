"""Pages as HTML, out of what was collected."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.charts import Chart, Curve, chart_svg, legend
from foldnet.show.html import element, part_of_page
from foldnet.show.page import Section, copied, document, figure, folded_away
from foldnet.show.report import Table
from foldnet.verbs.pages.folds import depth, kept, sweep, threshold, threshold_data
from foldnet.verbs.pages.run import RunPage
from foldnet.verbs.pages.similar import film_data, history, similar, thinned

MOST_LINES = 250  # of the table of epochs
MOST_POINTS = 400  # of a curve, about a pixel each


def run_html(page: RunPage) -> str:
    """The page of a run."""
    lead = (
        element("p", ", ".join(lead_of(page))),
        element("p", "Made by ", copied(page.command, "Copy the command"), class_="made"),
    )
    makers = (trained, curves, similar, threshold, history, sweep, depth, kept)
    parts = (make(page) for make in makers)
    data = {"stops": threshold_data(page), **film_data(page)}
    return document(f"foldnet: {page.name}", lead, [part for part in parts if part is not None], data)


def lead_of(page: RunPage) -> Iterator[str]:
    """What was trained, in a line."""
    yield f"{page.facts['network']} on {page.facts['data']}"
    yield f"{page.facts['epochs']} epochs"
    yield f"test {page.measure} {page.facts['test']}"


def trained(page: RunPage) -> Section:
    """What was trained and how."""
    facts = Table("", (), tuple(page.facts.items()))
    settings = Table("", ("setting", "value"), tuple((name, written(value)) for name, value in page.settings.items()))
    tables = (part_of_page(facts), folded_away("All settings", part_of_page(settings)))
    trained_by, why = page.trained_by
    again = (
        ("Trained by ", copied(trained_by, "Copy the command"))
        if trained_by
        else f"No one command trains the same: the run {why}."
    )
    network = folded_away("Groups and private layers", *map(part_of_page, page.info.parts()))
    return Section(
        "trained", "What was trained", (element("p", again), *tables, network, page.sources["trained"].to_html())
    )


def written(value: Any) -> str:
    """A setting in words."""
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def curves(page: RunPage) -> Section | None:
    """Scores, losses and likeness by epoch."""
    charts = [chart for chart in charts_of(page) if chart.curves]
    if not charts:
        return None
    pictures = [figure(chart_svg(chart), (f"{chart.label}.", legend(chart))) for chart in charts]
    names = list(dict.fromkeys(curve.name for chart in charts for curve in chart.curves))
    found = {(curve.name, x): y for chart in charts for curve in chart.curves for x, y in curve.points}
    lines = [page.metrics[at] for at in thinned(len(page.metrics), MOST_LINES)] if page.metrics else []
    rows = tuple((line["epoch"], *(found.get((name, line["epoch"])) for name in names)) for line in lines)
    title = "Every number" if len(lines) == len(page.metrics) else f"Numbers of {len(lines)} epochs"
    numbers = folded_away(title, part_of_page(Table("", ("epoch", *names), rows)))
    content = (element("div", pictures, class_="row"), numbers, page.sources["metrics"].to_html())
    return Section("curves", "How training went", content)


def charts_of(page: RunPage) -> Iterator[Chart]:
    """A chart for each measure that the run kept."""
    score = {f"train {page.measure}": "train_score", f"validation {page.measure}": "validation_score"}
    yield _by_epoch(f"{page.measure.capitalize()} by epoch", page.metrics, score, percent=page.share)
    losses = {"train loss": "train_loss", "validation loss": "validation_loss"}
    yield _by_epoch("Loss by epoch", page.metrics, losses)
    if page.history is not None:
        alike = (Curve(f"most alike in {name}", most_alike(its)) for name, its in page.history.items())
        curves = tuple(curve for curve in alike if curve.points)
        yield Chart("Similarity of the two most similar layers by epoch", "epoch", "similarity", curves)


def most_alike(matrices: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """The largest similarity of different layers by epoch: (epochs + 1, L, L) -> points; none of a single layer."""
    pairs = np.triu_indices(matrices.shape[1], 1)
    epochs = thinned(len(matrices), MOST_POINTS) if len(pairs[0]) else []
    return tuple((float(epoch), float(matrices[epoch][pairs].max())) for epoch in epochs)


def _by_epoch(
    label: str, metrics: Sequence[Mapping[str, Any]], names: Mapping[str, str], *, percent: bool = False
) -> Chart:
    """Curves of some numbers of metrics.jsonl, as far as they are there."""
    found = []
    for name, key in names.items():
        points = tuple(
            (float(line["epoch"]), float(line[key])) for line in metrics if isinstance(line.get(key), int | float)
        )
        points = tuple(points[at] for at in thinned(len(points), MOST_POINTS)) if points else ()
        if points:
            found.append(Curve(name, points))
    return Chart(label, "epoch", "", tuple(found), percent=percent)
