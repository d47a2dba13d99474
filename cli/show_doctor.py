"""How a machine looks to a reader."""

from rich.console import Console
from rich.table import Table

from foldnet.verbs.doctor import Health
from foldnet_cli.words import spoken


def show_health(report: Health, console: Console) -> None:
    """What is offered, what is chosen, and what should be mended."""
    offers = Table("offered", "", box=None, pad_edge=False)
    for what, found in _offers(report):
        offers.add_row(what, found)
    console.print(offers)
    console.print()
    chosen = Table("chosen", "", "why", box=None, pad_edge=False)
    for choice in report.choices:
        chosen.add_row(choice.what, choice.choice, choice.why)
    console.print(chosen)
    for note in report.notes:
        console.print(f"note: {spoken(note)}", style="yellow")
    console.print("prove it: foldnet doctor --check")


def _offers(report: Health) -> list[tuple[str, str]]:
    """The rows of the first table."""
    cpu, missing = report.processor, "none"
    graphics = [
        f"{gpu.name}, {_size(gpu.memory_bytes)}, capability {gpu.capability}{', bf16' if gpu.bf16 else ''}"
        for gpu in report.gpus
    ]
    disk = f"{_size(report.disk_free_bytes)} free" + ("" if report.disk_writable else ", NOT writable")
    rows = [
        ("versions", ", ".join(f"{name} {number}" for name, number in report.versions.items())),
        ("CUDA", f"torch built for {report.cuda}" if report.cuda else "torch built without"),
        *(("GPU", line) for line in graphics or [missing]),
        ("processor", f"{cpu.name}, {cpu.cores} of {cpu.logical} cores, {report.threads} threads"),
        ("vectors", ", ".join(cpu.features) or missing),
        ("memory", f"{_size(report.memory_bytes)}, {_size(report.memory_free_bytes)} free"),
        (f"disk at {report.runs}/", disk),
        ("Graphviz", report.graphviz or missing),
        ("C++ compiler", report.compiler or missing),
    ]
    for extra in report.extras:
        absent = [name for name, number in extra.packages.items() if number is None]
        mend = f"no ({', '.join(absent)} missing): pip install 'foldnet[{extra.name}]'"
        rows.append((f"extra {extra.name}", mend if absent else "yes"))
    return rows


def _size(count: int | None) -> str:
    """Bytes in GiB."""
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"
