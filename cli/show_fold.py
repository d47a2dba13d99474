"""How a fold looks."""

import dataclasses

from rich.console import Console
from rich.table import Table

from foldnet.program.data import letters
from foldnet.verbs.fold_report import Accuracies, FoldReport
from foldnet_cli.advice import chance_column, show_chance, show_near_misses
from foldnet_cli.kept_apart import show_kept_apart
from foldnet_cli.scores import counted


def show_fold(report: FoldReport, console: Console) -> None:
    """The program, what chose it, what is tied and stored, and the accuracies on the way."""
    console.print(report.program)
    show_near_misses(report.advice, console)
    if report.greedy:
        console.print(
            f"{', '.join(report.greedy)}: too many blocks to try every program, a shorter one may exist", style="yellow"
        )
    console.print(f"\nchosen: {report.why}")
    if report.settings.keep:
        console.print(f"kept out of clustering: {', '.join(report.settings.keep)}")
    if report.settings.ignore:
        console.print(f"attributes that were not compared: {', '.join(report.settings.ignore)}")
    show_kept_apart(report.kept_apart, console)
    table = Table("group", "layers", "templates", "owners", "stored", "by chance", box=None, pad_edge=False)
    for group in report.groups:
        counts = map(str, (len(group.layers), group.templates, group.owners, group.stored))
        table.add_row(group.name, *counts, chance_column(report.advice.chance, group.name))
    console.print(table)
    _show_ties(report, console)
    console.print(f"\nloops {report.loops}, reuses {report.reuses}")
    show_chance(report.advice, console)
    sizes = Table("", "soft", "dense", "folded", box=None, pad_edge=False)
    sizes.add_row("parameters", *(f"{n:,}" for n in dataclasses.astuple(report.parameters)))
    sizes.add_row("bytes", *(f"{n:,}" for n in dataclasses.astuple(report.bytes)))
    console.print(sizes)
    _show_accuracies(report.accuracy, report.measure, console)
    console.print(f"wrote {report.fold}" if report.fold is not None else "dry run: nothing written")


def _show_ties(report: FoldReport, console: Console) -> None:
    """Which layers are tied, how well, and which of them hurts."""
    last = () if report.shares is None else ("share of added validation loss",)
    table = Table("tied layer", "owner", "gain", "weight error", *last, box=None, pad_edge=False)
    for group in report.groups:
        for owner, cluster in enumerate(group.clusters):
            for row in cluster if len(cluster) > 1 else ():
                layer, tie = group.layers[row], group.tie
                share = () if report.shares is None else (f"{100 * report.shares.get(layer, 0.0):.0f} %",)
                table.add_row(layer, letters(owner), f"{tie.gains[row]:+.2f}", f"{100 * tie.errors[row]:.1f} %", *share)
    if table.row_count:
        console.print()
        console.print(table)


def _show_accuracies(accuracy: Accuracies, measure: str, console: Console) -> None:
    """Test accuracies along the fold, where they were measured."""
    if accuracy.images is None:
        console.print("not evaluated: batch norm is as it was before tying", style="yellow")
        return
    table = Table(f"test {measure}", "", box=None, pad_edge=False)
    for name in ("soft", "soft_recalibrated", "tied", "recalibrated", "finetuned", "soft_finetuned"):
        value = getattr(accuracy, name)
        if value is not None:
            table.add_row(name.replace("_", ", "), counted(value, accuracy.images, measure))
    console.print(table)
