"""How a certificate and a comparison of speeds look to a reader."""

from rich.console import Console
from rich.table import Table

from foldnet.folding.compare import PAIRS, Difference, LayerDifference
from foldnet.recipes.bench_inference import SAYING, InferenceReport
from foldnet.recipes.certificate import Certificate


def show_certificate(report: Certificate, console: Console) -> None:
    """What was compared, the worst layer of each pair, what each form is, and every promise."""
    table = Table("compared", "inputs", "largest", "mean", "relative", "agree", box=None, pad_edge=False)
    for found in report.comparisons:
        for pair, (form, reference) in PAIRS.items():
            difference = found.logits[pair]
            if difference is not None:
                agree = f"{100 * found.agreement:.2f} %" if pair == "looped" else ""
                table.add_row(f"{form} with {reference}", f"{found.count} {found.inputs}", *_numbers(difference), agree)
    for pair, (form, reference) in PAIRS.items():
        worst = _worst(report, pair)
        if worst is not None:
            table.add_row(f"{form} with {reference}", f"worst layer, {worst.name}", *_numbers(getattr(worst, pair)), "")
    console.print(table)
    _show_forms(report, console)
    for promise in report.promises:
        if not promise.held:
            console.print(f"BROKEN {promise.name}: {promise.value}, wanted {promise.limit}", style="bold red")
    for note in report.notes:
        console.print(f"note: {note}", style="yellow")
    held = sum(promise.held for promise in report.promises)
    verdict = "passed" if report.passed else "FAILED"
    console.print(f"{verdict}: {held} of {len(report.promises)} promises hold, {report.fold}, {report.seconds:.1f} s")


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
    machine = report.machine
    console.print(
        f"{report.arch}, {'x'.join(map(str, report.image))} images, {report.precision}, {machine['processor']}, "
        f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}, median of {report.repeats} rounds"
    )
    console.print(SAYING)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow")


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
