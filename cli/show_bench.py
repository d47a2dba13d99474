"""How comparisons of speeds look."""

from typing import Any

from rich.console import Console
from rich.table import Table

from foldnet.verbs.bench_inference import InferenceReport
from foldnet.verbs.bench_train import TrainBenchReport
from foldnet_cli.words import spoken


def show_inference(report: InferenceReport, console: Console) -> None:
    """A table a batch size; times beside their ratio to dense."""
    for batch in report.batch_sizes:
        columns = ("ms", "to dense", "middle half", "images/s", "peak MB", "bytes", "GFLOP")
        table = Table(f"batch {batch}", *columns, box=None, pad_edge=False)
        for name, form in report.results.items():
            seconds = form.timings[batch].median
            ratio, lower, upper = report.time_ratio(name, batch)
            table.add_row(
                name,
                f"{1000 * seconds:.2f}",
                f"{ratio:.3f}",
                f"{lower:.3f}-{upper:.3f}",
                f"{batch / seconds:,.0f}",
                f"{form.peak_memory[batch] / 1e6:.1f}",
                f"{form.bytes:,}",
                f"{form.flops / 1e9:.3f}",
            )
        console.print(table)
        console.print()
    console.print(
        f"{report.arch}, {'x'.join(map(str, report.image))} images, {report.precision}, {_machine(report.machine)}, "
        f"median of {report.repeats} rounds; bytes are those of the file, FLOP those of an image"
    )
    console.print(report.saying)
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
    console.print(report.saying)
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
