"""How a certificate and a comparison of speeds look to a reader."""

import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from foldnet.folding.compare import PAIRS, Difference, LayerDifference
from foldnet.recipes import bench_train
from foldnet.recipes.bench_inference import SAYING, InferenceReport
from foldnet.recipes.bench_train import TrainBenchReport
from foldnet.recipes.certificate import Certificate
from foldnet_cli.page import printable
from foldnet_cli.words import spoken

WIDTH = 80  # columns


def show_certificate(report: Certificate, console: Console) -> None:
    """What was compared, the worst layer of each pair, what each form is, and every promise."""
    table = Table("compared", "inputs", "largest", "mean", "relative", "agree", box=None, pad_edge=False)
    for found in report.comparisons:
        for pair, (form, reference) in PAIRS.items():
            difference = found.logits[pair]
            if difference is not None:
                agree = f"{100 * found.agreement:.2f} %" if pair == "looped" else ""
                table.add_row(f"{form} with {reference}", f"{found.count} {found.inputs}", *_numbers(difference), agree)
    console.print(table)
    for pair, (form, reference) in PAIRS.items():
        worst = _worst(report, pair)
        if worst is not None:
            apart = f"{getattr(worst, pair).relative:.2e}"
            _say(console, f"{form} with {reference}, layer by layer: {apart} relative at most, at {worst.name}")
    _show_forms(report, console)
    _say(console, "kept: " + "; ".join(promise.name for promise in report.promises if promise.held))
    for promise in report.promises:
        if not promise.held:
            _say(console, f"BROKEN {promise.name}: {promise.value}, wanted {promise.limit}", "bold red")
    for note in report.notes:
        _say(console, f"not checked: {spoken(note)}", "yellow")
    console.print(printable(f"{report.verdict}, {report.fold}, {report.seconds:.1f} s"))


def _say(console: Console, text: str, style: str = "") -> None:
    """A sentence in lines of at most 80 columns."""
    for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False):
        console.print(printable(line, style))


def show_inference(report: InferenceReport, console: Console) -> None:
    """A table a batch size; times beside their ratio to dense."""
    for batch in report.batch_sizes:
        columns = ("ms", "to dense", "middle half", "images/s", "peak MB", "file bytes", "GFLOP an image")
        table = Table(f"batch {batch}", *columns, box=None, pad_edge=False)
        for name, form in report.forms.items():
            seconds = form.timings[batch].median
            ratio, lower, upper = report.time_ratio(name, batch)
            table.add_row(
                name,
                f"{1000 * seconds:.2f}",
                f"{ratio:.3f}",
                f"{lower:.3f} to {upper:.3f}",
                f"{batch / seconds:,.0f}",
                f"{form.peak_memory[batch] / 1e6:.1f}",
                f"{form.bytes:,}",
                f"{form.flops / 1e9:.3f}",
            )
        console.print(table)
        console.print()
    console.print(
        f"{report.arch}, {'x'.join(map(str, report.image))} images, {report.precision}, {_machine(report.machine)}, "
        f"median of {report.repeats} rounds"
    )
    console.print(SAYING)
    for note in report.notes:
        console.print(f"note: {spoken(note)}", style="yellow")


def show_training(report: TrainBenchReport, console: Console) -> None:
    """The three networks, and how much faster the soft one is than each other."""
    columns = ("ms", "images/s", "soft faster", "middle half", "precision", "parameters")
    table = Table(f"batch {report.batch_size}", *columns, box=None, pad_edge=False)
    for name, figures in report.results.items():
        seconds = figures.timings.median
        ratio, lower, upper = report.speed_ratio("soft", name)
        compared = ("", "") if name == "soft" else (f"{ratio:.2f} x", f"{lower:.2f} to {upper:.2f}")
        table.add_row(
            name,
            f"{1000 * seconds:.1f}",
            f"{report.batch_size / seconds:,.0f}",
            *compared,
            figures.precision,
            f"{figures.parameters:,}",
        )
    console.print(table)
    _show_profile(report, console)
    compiled = sum(figures.compile_seconds for figures in report.results.values())
    how = f"compiled in {compiled:.0f} s" if report.compilation.on else "not compiled"
    console.print(
        f"\n{report.arch} and {report.plain_arch}, {_machine(report.machine)}, {how} ({report.compilation.why}), "
        f"median of {report.steps} rounds"
    )
    console.print(bench_train.SAYING)
    for note in report.notes:
        console.print(f"note: {spoken(note)}", style="yellow")


def _show_profile(report: TrainBenchReport, console: Console) -> None:
    """Where a step of the soft network spends its time, if that was measured."""
    found = report.results["soft"].profile
    if found is None:
        return
    total = sum(found.values())
    table = Table("soft, operator", "ms a step", "share", box=None, pad_edge=False)
    shown = {name: seconds for name, seconds in found.items() if seconds >= total / 100 and name != "other"}
    for name, seconds in (*shown.items(), ("other", total - sum(shown.values()))):
        table.add_row(name, f"{1000 * seconds:.2f}", f"{100 * seconds / total:.1f} %")
    console.print()
    console.print(table)


def _machine(about: dict[str, Any]) -> str:
    """Where it was measured."""
    return f"{about['processor']}, {about['device']}, {about['threads']} threads, torch {about['torch']}"


def _show_forms(report: Certificate, console: Console) -> None:
    """Accuracy, parameters and bytes of each form."""
    table = Table("", f"test {report.measure}", "parameters", "bytes", box=None, pad_edge=False)
    for form, accuracy in report.accuracy.items():
        stored = "folded" if form == "looped" else form
        sizes = (report.parameters.get(stored), report.bytes.get(stored))
        shown = "-"
        if accuracy is not None and report.images is not None:
            counted = f"{100 * accuracy:.2f} % ({round(accuracy * report.images)} of {report.images})"
            shown = counted if report.measure == "accuracy" else f"{accuracy:.4f} (of {report.images})"
        table.add_row(form, shown, *("-" if number is None else f"{number:,}" for number in sizes))
    console.print(table)


def _worst(report: Certificate, pair: str) -> LayerDifference | None:
    """The layer whose relative difference is largest."""
    layers = [layer for layer in report.layers if getattr(layer, pair) is not None]
    return max(layers, key=lambda layer: getattr(layer, pair).relative, default=None)


def _numbers(difference: Difference) -> tuple[str, str, str]:
    """A difference as cells."""
    return f"{difference.max_abs:.2e}", f"{difference.mean_abs:.2e}", f"{difference.relative:.2e}"
