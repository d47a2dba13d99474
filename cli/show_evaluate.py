"""How a score looks, and how scores look along the trips of a loop."""

from rich.console import Console
from rich.table import Table

from foldnet.training.by_length import binned
from foldnet.verbs.depth import DepthReport
from foldnet.verbs.evaluate import EvaluateReport
from foldnet.verbs.reach import ReachReport
from foldnet_cli.scores import counted, pairs, scored


def show_evaluate(report: EvaluateReport, console: Console) -> None:
    """The score of a run or fold, by length of path where that was asked."""
    table = pairs()
    table.add_row(report.form, report.path)
    if report.steps:
        table.add_row("steps", ", ".join(f"{loop} runs {count} times" for loop, count in report.steps.items()))
    if report.damped:
        table.add_row("changes", "damped by the trips found to those run")
    if report.recalibrated:
        table.add_row("batch norm", "estimated anew on training images")
    test = counted(report.accuracy, report.images, report.measure, report.right)
    if report.by_length:
        table.add_row("grids", report.data)
    table.add_row("test", f"{test}, loss {report.loss:.4f}")
    table.add_row("parameters", f"{report.parameters:,}")
    table.add_row("speed", f"{report.images_per_second:,.0f} images/s, {report.precision} on {report.device}")
    console.print(table)
    if report.by_length:
        lengths = Table("steps of the path", "grids", "F1", "wholly right", box=None, pad_edge=False)
        for part in binned(report.by_length):
            span = f"{part.shortest}" if part.shortest == part.longest else f"{part.shortest} to {part.longest}"
            lengths.add_row(span, f"{part.grids}", f"{part.f1:.4f}", f"{100 * part.whole:.1f} %")
        console.print(lengths)


def show_depth(report: DepthReport, console: Console) -> None:
    """A table a loop."""
    for loop in report.loops:
        columns = [(name.replace("_", ", "), dict(curve)) for name, curve in loop.curves().items() if curve]
        table = Table("trips", *(name.replace("accuracy", "as it is") for name, _ in columns), box=None, pad_edge=False)
        for trips, _ in loop.accuracy:
            found = " (found)" if trips == loop.found else ""
            table.add_row(f"{trips}{found}", *(_dialled(curve[trips], report) for _, curve in columns))
        among = "right" if report.measure == "accuracy" else "mean"
        console.print(f"{loop.name}, test {report.measure} ({among} of {report.images})")
        console.print(table)


def _dialled(value: float, report: DepthReport) -> str:
    """A score in a narrow column: of an accuracy with the count behind it, of which the heading says of how many."""
    if report.measure == "accuracy":
        return f"{scored(value, report.measure)} ({round(value * report.images)})"
    return f"{value:.4f}"


def show_reach(report: ReachReport, console: Console) -> None:
    """A table a network."""
    console.print(f"on {report.data}")
    for network in report.networks:
        table = Table("trips", "steps", "F1", "wholly right", "batch norm", box=None, pad_edge=False)
        for point in network.points:
            found = "  (found)" if network.found is not None and point.trips == network.found else ""
            trips = "" if point.trips is None else f"{point.trips}{found}"
            norms = "estimated anew" if point.recalibrated else "as trained"
            table.add_row(trips, f"{point.steps}", f"{point.f1:.4f}", f"{100 * point.whole:.1f} %", norms)
        turned = "" if network.loop is None else f", {network.loop} turned"
        console.print(f"\n{network.path} ({network.arch}, {network.form}{turned})")
        console.print(table)
