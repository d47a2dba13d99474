"""How a finished training looks."""

from rich.console import Console

from foldnet.verbs.train import TrainReport
from foldnet_cli.scores import counted, pairs, scored


def show_train(report: TrainReport, console: Console) -> None:
    """What was trained, how long it took, and how well it does."""
    table = pairs()
    table.add_row("run", report.run)
    table.add_row("network", f"{report.arch}, {report.parameters:,} parameters")
    longer = (
        f" (lengthened after {' and '.join(str(until) for until, _ in report.lengthened)})" if report.lengthened else ""
    )
    trained = f"{report.epochs} epochs{longer} on {report.dataset}, seed {report.seed}, {report.precision}"
    table.add_row("trained", trained)
    table.add_row("time", f"{report.seconds:.1f} s, {report.images_per_second:,.0f} images/s on {report.device}")
    if report.best_validation_accuracy is not None:
        best = scored(report.best_validation_accuracy, report.measure)
        table.add_row("best validation", f"{best} at epoch {report.best_epoch}")
    test = counted(report.test_accuracy, report.test_images, report.measure, report.test_right)
    table.add_row("test", f"{test}, last epoch")
    console.print(table)
    soft = report.arch.startswith("s")
    console.print(
        "next: foldnet lsm, foldnet fold, foldnet render graph"
        if soft
        else "next: foldnet evaluate, foldnet lsm (nothing is shared, so there is nothing to fold)"
    )
