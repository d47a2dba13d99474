"""How a set of grids looks."""

from rich.console import Console

from foldnet.verbs.data import GridsReport
from foldnet_cli.scores import pairs


def show_grids(report: GridsReport, console: Console) -> None:
    """How many there are, how they were drawn, and where they are."""
    table = pairs()
    table.add_row(report.dataset, f"{report.count:,} of {report.size}x{report.size} cells, seed {report.seed}")
    table.add_row("drawn as", f"{report.split}, phase {report.phase}")
    table.add_row("shortest paths", f"{report.mean_length:.1f} steps on average, {report.longest} at most")
    table.add_row(
        "cells", f"{100 * report.share_of_obstacles:.1f} % obstacles, {100 * report.share_of_target:.1f} % target"
    )
    console.print(table)
    console.print(f"wrote {report.file}")
