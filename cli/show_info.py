"""How a network or a file looks from inside."""

from rich.console import Console
from rich.table import Table

from foldnet.verbs.info import FileInfo, NetworkInfo
from foldnet.verbs.listing import RunLine
from foldnet_cli.scores import Pairs, pairs, scored
from foldnet_cli.show_runs import about_fold, size
from foldnet_cli.words import spoken


def show_network(report: NetworkInfo, console: Console) -> None:
    """Sizes, groups, private layers, and the program of a fold."""
    table = pairs()
    table.add_row(report.kind, report.name)
    if report.trained is not None:
        _add_training(report.trained, table)
    table.add_row("parameters", f"{report.parameters:,} ({report.trainable:,} trainable)")
    table.add_row("virtual", f"{report.virtual_parameters:,} as if every layer had a weight of its own")
    if report.folded is not None:
        table.add_row("test, size", about_fold(report.folded))
    for fold in report.trained.folds if report.trained else ():
        table.add_row("fold", f"{fold.fold}, {about_fold(fold)}")
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


def _add_training(line: RunLine, table: Pairs) -> None:
    """How a run came to be, and how well it does."""
    if line.problem is not None:
        table.add_row("damaged", spoken(line.problem))
        return
    table.add_row("network", str(line.arch))
    table.add_row("data", f"{line.dataset}, seed {line.seed}")
    table.add_row("epochs", f"{line.epochs} of {line.of}")
    for until, before in line.lengthened:
        table.add_row("lengthened", f"after epoch {until}; until then a run of {before}")
    table.add_row("test", "not measured" if line.test_accuracy is None else scored(line.test_accuracy, line.measure))
    table.add_row("size", size(line.bytes))


def show_file(report: FileInfo, console: Console) -> None:
    """Every tensor of a file."""
    table = Table("tensor", "type", "shape", box=None, pad_edge=False)
    for tensor in report.tensors:
        table.add_row(tensor.name, tensor.dtype, "x".join(map(str, tensor.shape)) or "scalar")
    console.print(table)
    sound = {None: "states no digest", True: "digest holds", False: "CHANGED after it was written"}[report.sound]
    console.print(f"{report.name}: {report.bytes:,} bytes, {report.parameters:,} numbers, {sound}")
