"""The stops of a threshold: every similarity at which a fold of a run becomes another one, and what `foldnet fold` says
there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal

from foldnet.analysis.clusters import Clusters, merge_path, partition
from foldnet.analysis.similarity import SLACK
from foldnet.choosing.choose import Soft, choose, soft_of
from foldnet.choosing.sweep import Curve
from foldnet.choosing.sweep_file import OtherSweep, kept_curve
from foldnet.data.tasks import Task
from foldnet.folding.groups import cut_families
from foldnet.folding.plan import FoldPlan
from foldnet.folding.settings import FoldSettings
from foldnet.proof.fold_report import FoldReport
from foldnet.sharing.share import SharedNetwork
from foldnet.training.runs import Run
from foldnet.verbs.fold import fold_soft
from foldnet.verbs.pages.sources import said

Walk = tuple[tuple[float, Clusters], ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """One fold of a run: `threshold`, in the fewest digits, gives it, as every number from there up to `height` does,
    the similarity of the merge that leads to it (None where nothing is merged).

    `score` is what the run's sweep measured of the same fold on validation data, in words; None where it did not.
    """

    threshold: float
    height: float | None
    plan: FoldPlan
    report: FoldReport
    score: str | None = None


@dataclass(frozen=True, slots=True)
class Ways:
    """Down the dendrograms of a soft run: the walk of each group of several layers, and the stops of all together.

    `unjudged` says why the stops have no scores, "" where a sweep of the same weights is there.
    """

    walks: dict[str, Walk]
    stops: tuple[Stop, ...]
    unjudged: str = ""


def ways_of(run: Run, model: SharedNetwork, checkpoint: str = "last") -> Ways:
    """Of the settings that `foldnet fold` has where it is given nothing but a threshold. Raises BrokenPromise where a
    fold would not compute what the tied network does."""
    soft = soft_of(model, FoldSettings(checkpoint=checkpoint))
    families, linkage = soft.families("layer"), soft.settings.linkage
    walks = {family.name: merge_path(family.similarity(soft.similarities), linkage) for family in families}
    heights = sorted({height for walk in walks.values() for height, _ in walk}, reverse=True)
    curve, unjudged = _curve(run, soft)
    stops = tuple(
        replace(stop, score=None if curve is None else score_of(stop.plan, curve, run.task))
        for stop in _stops(run, soft, heights)
    )
    return Ways(walks, stops, unjudged)


def shortest(height: float, below: float) -> float:
    """The number of fewest decimals, at least two, that is at most `height` and above `below`: (0.98765, 0.9871) ->
    0.9876."""
    for digits in range(2, 17):
        rounded = float(Decimal(height).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_FLOOR))
        if below < rounded <= height:
            return rounded
    return height


def _stops(run: Run, soft: Soft, heights: list[float]) -> Iterator[Stop]:
    """The fold where nothing merges, if there is a threshold for it, and one at each height that makes another."""
    tops: list[tuple[float, float | None]] = [(1.0, None), *((height, height) for height in heights)]
    found: list[tuple[float, float | None]] = []
    last = None
    for threshold, height in tops:
        limits = dict.fromkeys(soft.chosen_groups(), threshold)
        clusters = cut_families(soft.families("layer"), soft.similarities, limits, soft.settings.linkage)
        if clusters != last:
            alone = all(len(cluster) == 1 for its in clusters.values() for cluster in its)
            found.append((threshold, None if alone else height or threshold))
        last = clusters
    for (threshold, height), (below, _) in zip(found, [*found[1:], (0.0, None)], strict=True):
        # What lies above a height by no more than rounding does merges there too.
        chosen = shortest(threshold, below + 2 * SLACK) if height is not None else threshold
        yield folded_at(run, soft, chosen, height)


def folded_at(run: Run, soft: Soft, threshold: float, height: float | None) -> Stop:
    """What `foldnet fold` at a threshold makes of a run before it measures anything."""
    at = replace(soft, settings=replace(soft.settings, threshold=threshold))
    folded = fold_soft(run, at, choose(at), None, evaluated=False)
    return Stop(threshold, height, folded.plan, replace(folded.report, run=said(run.folder)))


def _curve(run: Run, soft: Soft) -> tuple[Curve | None, str]:
    """The run's sweep by layer where it is of these weights, else why there is none."""
    try:
        curve = kept_curve(run, soft)
    except OtherSweep as other:
        return None, str(other)
    return curve, "" if curve is not None else "the run has no sweep yet"


def score_of(plan: FoldPlan, curve: Curve, task: Task) -> str | None:
    """What a curve says of a fold: the score of the point with the same clusters."""
    tied = {group.name: group.clusters for group in plan.groups}
    for point in curve.points:
        if _whole(point.clusters.items(), plan) == tied:
            return task.counted(point.score, point.images, point.right)
    return None


def _whole(clusters: Iterable[tuple[str, Clusters]], plan: FoldPlan) -> dict[str, Clusters]:
    """Clusters of every group, those that are left out with each layer alone."""
    alone = {group.name: partition([], len(group.layers)) for group in plan.groups}
    return alone | {name: partition(its, len(alone[name])) for name, its in clusters}
