"""How a certificate looks."""

import textwrap

from rich.console import Console
from rich.table import Table

from foldnet.proof.certificate import Certificate
from foldnet.proof.compare import PAIRS, Difference, LayerDifference
from foldnet.proof.promises import Promise
from foldnet_cli.page import printable
from foldnet_cli.words import spoken

WIDTH = 80


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
    _say(console, "kept: " + "; ".join(_kept(promise) for promise in report.promises if promise.held))
    for promise in report.promises:
        if not promise.held:
            _say(console, f"BROKEN {promise.name}: {promise.value}, wanted {promise.limit}", "bold red")
    for note in report.notes:
        _say(console, f"not checked: {spoken(note)}", "yellow")
    _say(console, f"{report.verdict}, {report.fold}, {report.seconds:.1f} s")


def _kept(promise: Promise) -> str:
    """A promise that holds. What is counted so that there be none is said to be none."""
    return f"no {promise.name}" if promise.limit in (0, "") else promise.name


def _say(console: Console, text: str, style: str = "") -> None:
    """A sentence in lines of at most 80 columns."""
    for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False):
        console.print(printable(line, style))


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
