"""How a network or a file looks from inside."""

from rich.console import Console
from rich.table import Table

from foldnet.recipes.info import FileInfo, NetworkInfo
from foldnet_cli.scores import pairs


def show_network(report: NetworkInfo, console: Console) -> None:
    """Sizes, groups, private layers, and the program of a fold."""
    table = pairs()
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


def show_file(report: FileInfo, console: Console) -> None:
    """Every tensor of a file."""
    table = Table("tensor", "type", "shape", box=None, pad_edge=False)
    for tensor in report.tensors:
        table.add_row(tensor.name, tensor.dtype, "x".join(map(str, tensor.shape)) or "scalar")
    console.print(table)
    sound = {None: "states no digest", True: "digest holds", False: "CHANGED after it was written"}[report.sound]
    console.print(f"{report.name}: {report.bytes:,} bytes, {report.parameters:,} numbers, {sound}")
