"""How a sweep looks."""

from rich.console import Console
from rich.table import Table

from foldnet.verbs.fold_report import SweepReport
from foldnet_cli.scores import counted, scored


def show_sweep(report: SweepReport, console: Console) -> None:
    """A table a unit: every merge, what is stored after it, and what that scores."""
    before, after = (
        counted(value, report.images, report.measure)
        for value in (report.accuracy.soft, report.accuracy.soft_recalibrated)
    )
    console.print(
        f"validation {report.measure}, tied and recalibrated; the soft network has {before}, recalibrated {after}"
    )
    right = "right" if report.measure == "accuracy" else "wholly right"
    for unit, points in report.units.items():
        table = Table("merged", box=None, pad_edge=False)  # its names may be long, and they alone go on below
        for name in ("similar", "owners", "stored", "bytes", "loops", report.measure, right, "knee"):
            table.add_column(name, no_wrap=True)
        for index, point in enumerate(points):
            table.add_row(
                point.merged or "(nothing)",
                "" if point.height is None else f"{point.height:.3f}",
                str(point.owners),
                f"{100 * point.stored_numbers / report.dense_numbers:.1f} %",
                f"{point.bytes:,}",
                str(point.loops),
                scored(point.accuracy, report.measure).removeprefix(f"{report.measure} "),
                str(point.right),
                "yes" if index == report.knee[unit].point else "",
            )
        console.print(f"\nby {unit} (stored: share of the dense shared weights)")
        console.print(table)
        console.print(f"knee: {report.knee[unit].why}")
    console.print(f"\n{report.seconds:.1f} s" + (f", wrote {report.file}" if report.file else ""))
