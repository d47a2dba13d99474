"""How reports look: tables for people, one JSON object for programs."""

import dataclasses
import json
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from foldnet.analysis.chance import beyond_chance, shown_level
from foldnet.folding.program import letters
from foldnet.recipes.bench_inference import InferenceReport
from foldnet.recipes.bench_train import TrainBenchReport
from foldnet.recipes.by_length import binned
from foldnet.recipes.certificate import Certificate
from foldnet.recipes.check import CheckReport
from foldnet.recipes.depth import DepthReport
from foldnet.recipes.doctor import Health
from foldnet.recipes.evaluate import EvaluateReport
from foldnet.recipes.fold_report import Accuracies, FoldReport, SweepReport
from foldnet.recipes.grids import GridsReport
from foldnet.recipes.info import FileInfo, NetworkInfo
from foldnet.recipes.lsm import GroupLsm, LsmReport
from foldnet.recipes.reach import ReachReport
from foldnet.recipes.train import TrainReport
from foldnet_cli.advice import chance_column, show_chance, show_near_misses
from foldnet_cli.checks import show_checks
from foldnet_cli.kept_apart import show_kept_apart
from foldnet_cli.machines import show_health
from foldnet_cli.page import Page
from foldnet_cli.proofs import show_certificate, show_inference, show_training
from foldnet_cli.words import spoken, spoken_notes

WIDEST_WITH_NUMBERS = 12  # layers up to which a shaded cell also carries its number; without shades all do
WIDTH_OF_A_FILE = 10_000  # columns where there is no terminal: no name is cut short
SHOWN_LAYERS = 40  # a wider matrix does not fit a terminal; its file does


@dataclass(frozen=True, slots=True)
class Written:
    """A file that a command wrote."""

    file: Path

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"file": str(self.file)}


def to_json(report: Any) -> str:
    """One JSON object; a list of reports becomes {"runs": [...]}."""
    if isinstance(report, tuple):
        return json.dumps(spoken_notes({"runs": [dataclasses.asdict(entry) for entry in report]}), allow_nan=False)
    return json.dumps(spoken_notes(report.to_json()), allow_nan=False)


def show(report: Any) -> None:
    """Print a report for a reader."""
    console = Page(soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    _show(report, console)


@singledispatch
def _show(report: Any, console: Console) -> None:
    """What has no view of its own is printed as it is."""
    console.print(str(report))


@_show.register
def _(report: Written, console: Console) -> None:
    console.print(f"wrote {report.file}")


@_show.register
def _(report: GridsReport, console: Console) -> None:
    table = _pairs()
    table.add_row(report.dataset, f"{report.count:,} of {report.size}x{report.size} cells, seed {report.seed}")
    table.add_row("drawn as", f"{report.split}, phase {report.phase}")
    table.add_row("shortest paths", f"{report.mean_length:.1f} steps on average, {report.longest} at most")
    table.add_row(
        "cells", f"{100 * report.share_of_obstacles:.1f} % obstacles, {100 * report.share_of_target:.1f} % target"
    )
    console.print(table)
    console.print(f"wrote {report.file}")


@_show.register
def _(report: TrainReport, console: Console) -> None:
    table = _pairs()
    table.add_row("run", report.run)
    table.add_row("network", f"{report.arch}, {report.parameters:,} parameters")
    table.add_row("trained", f"{report.epochs} epochs on {report.dataset}, seed {report.seed}, {report.precision}")
    table.add_row("time", f"{report.seconds:.1f} s, {report.images_per_second:,.0f} images/s on {report.device}")
    if report.best_validation_accuracy is not None:
        best = _scored(report.best_validation_accuracy, report.measure)
        table.add_row("best validation", f"{best} at epoch {report.best_epoch}")
    test = _counted(report.test_accuracy, report.test_images, report.measure, report.test_right)
    table.add_row("test", f"{test}, last epoch")
    console.print(table)
    console.print("next: foldnet lsm, foldnet fold, foldnet render graph")


@_show.register
def _(report: EvaluateReport, console: Console) -> None:
    table = _pairs()
    table.add_row(report.form, report.path)
    if report.steps:
        table.add_row("steps", ", ".join(f"{loop} runs {count} times" for loop, count in report.steps.items()))
    if report.damped:
        table.add_row("changes", "damped by the trips found to those run")
    if report.recalibrated:
        table.add_row("batch norm", "estimated anew on training images")
    test = _counted(report.accuracy, report.images, report.measure, report.right)
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


@_show.register
def _(report: LsmReport, console: Console) -> None:
    where = report.run or "network in memory"
    epoch = "" if report.epoch is None else f", checkpoint {report.checkpoint} (epoch {report.epoch})"
    console.print(f"layer similarity by {report.metric}: {where}{epoch}")
    for group in report.groups:
        console.print()
        _show_matrix(group, console)


@_show.register
def _(report: FoldReport, console: Console) -> None:
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


@_show.register
def _(report: SweepReport, console: Console) -> None:
    before, after = (
        _counted(value, report.images, report.measure) for value in (report.soft, report.soft_recalibrated)
    )
    console.print(
        f"validation {report.measure}, tied and recalibrated; the soft network has {before}, recalibrated {after}"
    )
    for unit, points in report.units.items():
        table = Table(
            "merged", "similarity", "owners", "stored", "bytes", "loops", report.measure, box=None, pad_edge=False
        )
        for index, point in enumerate(points):
            knee = "  <- knee" if index == report.knees[unit][0] else ""
            table.add_row(
                point.merged or "(nothing)",
                "" if point.height is None else f"{point.height:.3f}",
                str(point.owners),
                f"{100 * point.stored_numbers / report.dense_numbers:.1f} %",
                f"{point.outcome.bytes:,}",
                str(point.loops),
                _counted(point.accuracy, report.images, report.measure, point.outcome.right) + knee,
            )
        console.print(f"\nby {unit} (stored: share of the dense shared weights)")
        console.print(table)
        console.print(f"knee: {report.knees[unit][1]}")
    console.print(f"\n{report.seconds:.1f} s" + (f", wrote {report.file}" if report.file else ""))


@_show.register
def _(report: DepthReport, console: Console) -> None:
    for loop in report.loops:
        columns = [(name.replace("_", ", "), dict(curve)) for name, curve in loop.curves().items() if curve]
        table = Table("trips", *(name.replace("accuracy", "as it is") for name, _ in columns), box=None, pad_edge=False)
        for trips, _ in loop.accuracy:
            found = "  (found)" if trips == loop.found else ""
            shown = (_counted(curve[trips], report.images, report.measure) for _, curve in columns)
            table.add_row(f"{trips}{found}", *shown)
        console.print(f"{loop.name}, test {report.measure}")
        console.print(table)


@_show.register
def _(report: ReachReport, console: Console) -> None:
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


@_show.register
def _(report: NetworkInfo, console: Console) -> None:
    table = _pairs()
    table.add_row(report.kind, report.name)
    table.add_row("parameters", f"{report.parameters:,} ({report.trainable:,} trainable)")
    table.add_row("virtual", f"{report.virtual_parameters:,} as if every layer had a weight of its own")
    console.print(table)
    if report.groups:
        groups = Table("group", "layers", "templates", "owners", "weight", "numbers", box=None, pad_edge=False)
        for group in report.groups:
            kept = tuple("-" if n is None else str(n) for n in (group.templates, group.owners))
            shape = "x".join(map(str, group.shape))
            groups.add_row(group.name, str(len(group.layers)), *kept, shape, f"{group.weight_numbers:,}")
        console.print(groups)
    reasons: dict[str, list[str]] = {}
    for layer, reason in report.private:
        reasons.setdefault(reason, []).append(layer)
    for reason, layers in reasons.items():
        console.print(f"private, {reason}: {', '.join(layers)}")
    if report.program is not None:
        console.print(report.program)


@_show.register
def _(report: FileInfo, console: Console) -> None:
    table = Table("tensor", "type", "shape", box=None, pad_edge=False)
    for tensor in report.tensors:
        table.add_row(tensor.name, tensor.dtype, "x".join(map(str, tensor.shape)) or "scalar")
    console.print(table)
    sound = {None: "states no digest", True: "digest holds", False: "CHANGED after it was written"}[report.sound]
    console.print(f"{report.name}: {report.bytes:,} bytes, {report.parameters:,} numbers, {sound}")


@_show.register
def _(report: tuple, console: Console) -> None:  # type: ignore[type-arg]
    if not report:
        console.print("no runs under runs/; train one with `foldnet train`")
        return
    table = Table("run", "arch", "dataset", "seed", "epochs", "test", box=None, pad_edge=False)
    for line in report:
        if line.problem is not None:
            continue
        accuracy = "-" if line.test_accuracy is None else _scored(line.test_accuracy, line.measure)
        table.add_row(line.run, line.arch, line.dataset, str(line.seed), f"{line.epochs}/{line.of}", accuracy)
    console.print(table)
    for line in report:
        if line.problem is not None:
            console.print(f"damaged: {line.run}: {spoken(line.problem)}", style="yellow")


_show.register(Certificate, show_certificate)
_show.register(InferenceReport, show_inference)
_show.register(TrainBenchReport, show_training)
_show.register(Health, show_health)
_show.register(CheckReport, show_checks)


def _show_matrix(group: GroupLsm, console: Console) -> None:
    """One group as a shaded matrix, white where layers are alike; a star marks what chance rarely shows."""
    count, names = len(group.layers), [_short(layer, group.name) for layer in group.layers]
    chance, starred = group.chance, beyond_chance(group.matrix, group.chance)
    width = max(map(len, names))
    title = f"{group.name}: {count} layers" + (f", {group.templates} templates" if group.templates else "")
    console.print(Text(title, style="bold"))
    shaded = console.is_terminal and console.color_system is not None
    if count <= SHOWN_LAYERS:
        for i, (name, row) in enumerate(zip(names, group.matrix, strict=True)):
            line = Text(f"{name:>{width}} ")
            for j, value in enumerate(row):
                cell = _cell(float(value), bool(starred[i, j]), shaded and count > WIDEST_WITH_NUMBERS)
                line.append(cell, style=_shade(float(value)) if shaded else "")
            console.print(line)
    else:
        console.print("too wide for a terminal; write it with -o FILE.png or FILE.csv")
    if chance.network_q95 is not None and chance.mean is not None and chance.max is not None:
        top = group.max_off_diagonal
        console.print(
            f"largest off-diagonal {top:.3f}; by chance: mean {chance.mean:.2f}, expected maximum {chance.max:.2f}"
        )
        console.print(f"* above {shown_level(chance.network_q95)}: not in any group of 95 % of untrained networks")
    if group.disagreements:
        pairs = ", ".join("=".join(_short(layer, group.name) for layer in pair) for pair in group.disagreements)
        console.print(f"the two metrics disagree at 0.95 on {pairs}", style="yellow")


def _cell(value: float, starred: bool, bare: bool) -> str:
    """The text of a cell: its number unless a shade alone must do, a star where it exceeds chance."""
    star = "*" if starred else " "
    return f" {star}" if bare else f" {value:.2f}{star}"


def _shade(value: float) -> str:
    """Grey by similarity: white is 1, as in the paper's Figure 2."""
    level = round(255 * min(max(value, 0.0), 1.0))
    ink = "black" if level > 127 else "white"
    return f"{ink} on rgb({level},{level},{level})"


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
            table.add_row(name.replace("_", ", "), _counted(value, accuracy.images, measure))
    console.print(table)


def _pairs() -> Table:
    """A table of names and values."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    return table


def _counted(value: float, images: int, measure: str = "accuracy", right: int | None = None) -> str:
    """A score with the count behind it: of an accuracy what is right, of another measure what is `right` as a whole."""
    if measure == "accuracy":
        return f"{_scored(value, measure)} ({round(value * images)} of {images})"
    whole = f"{right} of {images} wholly right" if right is not None else f"of {images}"
    return f"{_scored(value, measure)} ({whole})"


def _scored(value: float, measure: str) -> str:
    """A score: an accuracy in per cent, another measure by its name."""
    return f"{100 * value:.2f} %" if measure == "accuracy" else f"{measure} {value:.4f}"


def _short(layer: str, group: str) -> str:
    """A layer's name inside its group."""
    return layer.removeprefix(f"{group}.")
