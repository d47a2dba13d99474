"""The parts of a page about folding: the threshold that can be moved, the sweep with its knee, and the folds that were
kept."""

from collections.abc import Iterator
from typing import Any

from foldnet.drawing.charts import Chart, Curve, chart_svg, legend
from foldnet.drawing.dot import graph_dot
from foldnet.drawing.graph import program_graph
from foldnet.drawing.page_graph import graph_of_page, size_of
from foldnet.errors import MissingTool
from foldnet.program.data import Program, Stage
from foldnet.program.text import stage_text
from foldnet.proof.fold_report import FoldReport
from foldnet.show.html import Markup, element, joined, part_of_page
from foldnet.show.page import Section, copied, figure, folded_away
from foldnet.show.report import Table, Text, counted
from foldnet.verbs.pages.commands import as_options
from foldnet.verbs.pages.run import PagedFold, RunPage
from foldnet.verbs.pages.sources import command
from foldnet.verbs.pages.stops import Stop

ABOUT = (
    "Layers at least as similar as the threshold are tied. It stops wherever something merges; each stop "
    " shows what the command below it prints. Batch norm is as it was, and nothing is measured anew here."
)
ABOUT_GRAPHS = (
    "Each stage, from its input to its output. A rounded box is an owner, one weight that all layers named in it use; "
    "a box with corners is a layer with a weight of its own. In a stage that loops, numbers at arrows say which passes "
    "take them, and an arrow has the colour of its first pass. Shortcuts are left out."
)
MOST_FOLDS = 8  # that a run's page shows
NOT_SHOWN = ("not evaluated: ", "dry run: ", "wrote ")  # what of a report is about what was done, not about the fold


class Graphs:
    """The stages' graphs, each drawn once: a stage is often the same at several stops."""

    def __init__(self) -> None:
        self.symbols: dict[str, Markup] = {}
        self.missing = ""

    def shown(self, stage: Stage, gains: dict[str, float]) -> Markup | None:
        """A picture of a stage; None where Graphviz is missing, which `missing` then says."""
        digraph = graph_dot(program_graph(Program((), (stage,), ()), gains=gains), stage.name, bare=True)
        if digraph.source not in self.symbols and not self.missing:
            try:
                self.symbols[digraph.source] = graph_of_page(digraph, f"graph{len(self.symbols)}")
            except MissingTool as missing:
                self.missing = f"The graphs are left out: {missing}, and make the page again."
        if self.missing:
            return None
        place = list(self.symbols).index(digraph.source)
        width, height = size_of(self.symbols[digraph.source])
        drawn = element("use", href=f"#graph{place}")
        label = f"Graph of {stage.name}"  # its program stands beside it
        box = f"0 0 {width} {height}"
        svg = element(
            "svg", drawn, width=width, height=height, viewBox=box, role="img", aria_label=label, class_="graph"
        )
        return figure(svg, (element("b", stage.name), " ", element("code", stage_text(stage))))

    def kept(self) -> Markup:
        """All symbols, which stand in the page once."""
        return element("svg", self.symbols.values(), class_="symbols", aria_hidden="true", width=0, height=0)


def threshold(page: RunPage) -> Section | None:
    """The slider and what stands at each stop."""
    if page.ways is None or not page.ways.stops:
        return None
    graphs, stops = Graphs(), page.ways.stops
    shown = first_stop(page)
    articles = [stop_html(page, number, graphs) for number in range(len(stops))]
    slider = element(
        "input", type="range", id="at", min=0, max=len(stops) - 1, value=shown, step=1, aria_describedby="stop"
    )
    controls = element(
        "div",
        element("label", "Threshold", for_="at"),
        slider,
        element("output", "", id="stop", for_="at"),
        class_="controls script sticky",
    )
    judged = (
        "Accuracies are of the run's sweep, on validation data, tied and recalibrated."
        if not page.ways.unjudged
        else f"Accuracies are left out: {page.ways.unjudged}; "
    )
    sweep = copied(command("fold", page.name, "--sweep")) if page.ways.unjudged else None
    about = (element("p", ABOUT), element("p", judged, sweep, " measures them." if sweep else None))
    notes = element("p", graphs.missing or ABOUT_GRAPHS)
    content = (*about, controls, graphs.kept(), articles, notes, page.sources["similar"].to_html())
    return Section("threshold", "How far to fold", content)


def first_stop(page: RunPage) -> int:
    """The stop that the page begins with: that of its newest fold, else of the usual threshold, else the first."""
    stops = page.ways.stops if page.ways is not None else ()
    wanted = 0.95 if page.shown is None else page.shown
    return max((at for at, stop in enumerate(stops) if at == 0 or (stop.height or 0) >= wanted - 1e-9), default=0)


def stop_html(page: RunPage, number: int, graphs: Graphs) -> Markup:
    """One stop: what `foldnet fold` prints there, with the graph."""
    assert page.ways is not None
    stop = page.ways.stops[number]
    report = stop.report
    gains = {layer.name: layer.gain for layer in report.layers.values() if layer.gain != 1.0}
    tied = {layer for group in report.groups for cluster in group.clusters if len(cluster) > 1 for layer in cluster}
    stages = [graphs.shown(stage, {k: v for k, v in gains.items() if k in tied}) for stage in stop.plan.program.stages]
    parts = _parts(report)
    score = "not judged: the sweep did not come by this fold" if stop.score is None else stop.score
    return element(
        "article",
        element("h3", heading(stop)),
        element("p", copied(command("fold", page.name, "--threshold", f"{stop.threshold!r}"))),
        element("p", f"Validation {page.measure}: {score}") if not page.ways.unjudged else None,
        element("div", stages, class_="graphs"),
        map(part_of_page, parts),
        class_="stop",
        id=f"stop-{number}",
        data_threshold=f"{stop.threshold!r}",
    )


def _parts(report: FoldReport) -> list[Table | Text]:
    """What `foldnet fold` prints of a fold, and nothing of what it did."""
    shown = (part for part in report.parts() if not (isinstance(part, Text) and part.text.startswith(NOT_SHOWN)))
    return [as_options(part) for part in shown]


def heading(stop: Stop) -> str:
    """A stop in few words."""
    owners = sum(group.owners for group in stop.report.groups)
    layers = sum(len(group.layers) for group in stop.report.groups)
    start = "Nothing merged" if stop.height is None else f"Threshold {stop.threshold!r}"
    return f"{start}: {counted(owners, 'owner')} for {counted(layers, 'layer')}, {counted(stop.report.loops, 'loop')}"


def threshold_data(page: RunPage) -> list[dict[str, Any]]:
    """What the script knows of the stops: the similarity, what a screen reader says, and the owner of every layer."""
    stops = () if page.ways is None else page.ways.stops
    return [
        {
            "at": stop.threshold,
            "said": heading(stop),
            "owners": {group.name: [layer.owner for layer in group.layers] for group in stop.report.groups},
        }
        for stop in stops
    ]


def sweep(page: RunPage) -> Section | None:
    """The curve of the run's sweep, with its knees."""
    report = page.sweep
    if report is None:
        return None
    dense = report.dense_numbers
    curves, rings = [], []
    for unit, points in report.units.items():
        places = tuple((100 * point.stored_numbers / dense, point.score) for point in points)
        told = tuple(
            f"{point.merged or 'nothing'} merged: {counted(point.owners, 'owner')}, {counted(point.loops, 'loop')}, "
            f"{report.task.written(point.score)}"
            for point in points
        )
        curves.append(Curve(f"by {unit}", places, said=told))
        rings.append(places[report.knee[unit].point])
    chart = Chart(
        f"Validation {page.measure} against what is stored",
        "% of the dense shared weights stored",
        page.measure,
        tuple(curves),
        ("the soft network", report.soft),
        tuple(rings),
        page.share,
    )
    tables = folded_away("Every merge, and the knees", *map(part_of_page, report.parts()))
    content = (figure(chart_svg(chart), (f"{chart.label}.", legend(chart))), _knees(page), tables)
    return Section("sweep", "What folding costs", (*content, page.sources["sweep"].to_html()))


def _knees(page: RunPage) -> Markup:
    """Why each knee is the one."""
    assert page.sweep is not None
    items = (element("li", f"Knee by {unit}: {knee.why}.") for unit, knee in page.sweep.knee.items())
    return element("ul", items)


def depth(page: RunPage) -> Section | None:
    """Scores against the trips through each loop of the newest fold, where that was measured."""
    report = page.depth
    if report is None:
        return None
    pictures = []
    for loop in report.loops:
        curves = tuple(
            Curve(name.replace("accuracy", "as folded").replace("_", ", "), tuple((float(x), y) for x, y in points))
            for name, points in loop.curves().items()
            if points
        )
        label = f"Test {page.measure} against the trips through {loop.name}, found with {loop.found}"
        chart = Chart(label, "trips", page.measure, curves, percent=page.share)
        pictures.append(figure(chart_svg(chart), (f"{label}.", legend(chart))))
    numbers = folded_away("Every number", *map(part_of_page, report.parts()))
    measured = copied(command("render", "depth", page.folds[-1].name))
    source = element("p", f"Measured on {counted(report.images, 'test image')}, as ", measured, class_="source")
    return Section("depth", "How often loops run", (element("div", pictures, class_="row"), numbers, source))


def kept(page: RunPage) -> Section | None:
    """The folds in the run's folder, each with its certificate."""
    if not page.folds:
        return None
    older, newest = page.folds[:-MOST_FOLDS], page.folds[-MOST_FOLDS:]
    content = [element("div", _kept(fold)) for fold in newest]
    if older:
        names = ", ".join(fold.name for fold in older)
        content.append(element("p", f"{counted(len(older), 'older fold')} with pages of their own: {names}."))
    return Section("folds", "Folds that were kept", content)


def _kept(fold: PagedFold) -> Iterator[Markup | str]:
    """One fold."""
    yield element("h3", fold.name)
    if fold.command:
        yield element("p", "Folded by ", copied(fold.command))
    parts = _parts(fold.report)
    yield joined(*(part_of_page(part) for part in parts if isinstance(part, Text) or part.columns[:1] == ("",)))
    tables = [part for part in parts if isinstance(part, Table)]
    yield folded_away("All tables of the fold", *map(part_of_page, tables))
    verify = copied(fold.source.command)
    if fold.certificate is None:
        yield element("p", "No certificate: nobody has verified this fold; ", verify, " does.")
    elif fold.stale:
        yield element("p", "Its certificate is of other files; ", verify, " makes it anew.", class_="alarm")
    else:
        yield element("p", element("b", "Certificate: "), f"{fold.certificate.verdict}.")
        yield folded_away("What was checked", *map(part_of_page, fold.certificate.parts()))
    yield fold.source.to_html()
