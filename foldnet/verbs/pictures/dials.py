"""How good networks are when their loops run more or less often: accuracy by trips of a fold, and the reach of
several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foldnet.drawing.curves import ReachCurve, depth_figure, reach_figure
from foldnet.drawing.figures import write_figure
from foldnet.training.by_length import binned
from foldnet.verbs.depth import Curve, DepthReport, LoopDepth, depth
from foldnet.verbs.reach import Reach, ReachReport, reach


def write_depth(fold: Path, file: Path, **options: Any) -> DepthReport:
    """Measure and draw accuracy against trips; `options` are those of depth, which raises."""
    report = depth(fold, **options)
    figure = depth_figure(
        {loop.name: _series(loop) for loop in report.loops},
        report.arch,
        found={loop.name: loop.found for loop in report.loops},
        measure=report.task.measure,
        percent=report.task.share,
    )
    write_figure(figure, file)
    return report


def write_reach(networks: Sequence[Path], file: Path, **options: Any) -> ReachReport:
    """Measure and draw how far networks reach; `options` are those of reach, which raises."""
    report = reach(networks, **options)
    write_figure(reach_figure([_curve(network) for network in report.networks], report.data), file)
    return report


def _series(loop: LoopDepth) -> dict[str, Curve]:
    """Whatever was measured of a loop, trip by trip, by the name that a legend gives it."""
    return {name.replace("accuracy", "as folded").replace("_", " "): curve for name, curve in loop.curves().items()}


def _curve(network: Reach) -> ReachCurve:
    """One network for the picture; lengths in bins stand at their middle."""

    def points(recalibrated: bool) -> tuple[tuple[int, float, float], ...]:
        chosen = [point for point in network.points if point.recalibrated == recalibrated]
        return tuple((point.steps, point.score, point.whole) for point in chosen)

    as_found = next((point.steps for point in network.points if point.trips == network.found), None)
    path = Path(network.path)
    name = path.name if network.form != "looped" else f"{path.parent.name}/{path.name}"
    return ReachCurve(
        f"{name} ({network.arch}, {network.form})",
        points(False),
        points(True),
        as_found if network.found is not None else None,
        tuple(((part.shortest + part.longest) / 2, part.f1, part.whole) for part in binned(network.by_length)),
    )
