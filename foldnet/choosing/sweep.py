"""The curve instead of a guess: merge by merge, greedily by what each merge costs on validation data."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from foldnet.analysis.clusters import Clusters, joined, merge_path
from foldnet.analysis.similarity import Matrix
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import NothingToFold
from foldnet.folding.groups import Family
from foldnet.folding.plan import FoldPlan
from foldnet.folding.settings import FoldSettings, parse_budget
from foldnet.program.data import count_reuses
from foldnet.store.codec import Count, Share, to_plain


@dataclass(frozen=True, slots=True)
class Rung:
    """After one more merge: the similarity at which it happens, and the clusters of every group that the ladder
    concerns."""

    height: float
    clusters: dict[str, Clusters]


@dataclass(frozen=True, slots=True)
class Ladder:
    """One dendrogram, from the first merge to the last. `name` is the group's or the stage's."""

    name: str
    rungs: tuple[Rung, ...]


def ladders_of(families: Iterable[Family], similarities: Mapping[str, Matrix], linkage: str) -> tuple[Ladder, ...]:
    """The ladders down some families; `similarities` are those of their groups, (L, L) each."""
    walks = ((family, merge_path(family.similarity(similarities), linkage)) for family in families)
    return tuple(
        Ladder(family.name, tuple(Rung(height, family.tied(clusters, similarities)) for height, clusters in walk))
        for family, walk in walks
    )


FLAT = 0.001  # a curve that falls by less than this share has no knee: its last point gives up nothing


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one folded network does: its data's score on validation images, tied and recalibrated, the same as accuracy
    where it is a share, images that are wholly right, and the sizes of the whole network.
    """

    score: float
    accuracy: Share | None
    right: Count | None
    images: Count
    parameters: Count
    bytes: Count


Planner = Callable[[Mapping[str, Clusters]], FoldPlan]
Judge = Callable[[FoldPlan], Outcome]


@dataclass(frozen=True, slots=True)
class SweepPoint(Outcome):
    """One point of the curve. `merged` names the ladder that went a rung down to get here, "" at the start.

    `stored_numbers` counts the numbers of shared weights and residuals that a file keeps, `owners` the weights that
    exist while it runs.
    """

    unit: str
    merged: str
    height: float | None
    owners: Count
    stored_numbers: Count
    loops: Count
    reuses: Count
    clusters: dict[str, Clusters]


def descend(
    ladders: tuple[Ladder, ...], unit: str, plan: Planner, judge: Judge, task: Task = CLASSES
) -> tuple[SweepPoint, ...]:
    """Walk down all ladders, one merge at a time: always the merge that leaves the best validation score of `task`.

    Among equals the one between the most similar layers goes first. `plan` ties by clusters, `judge` recalibrates and
    counts. The first point has nothing merged.
    """

    def point(merged: str, height: float | None, clusters: dict[str, Clusters]) -> SweepPoint:
        fold = plan(clusters)
        counts = to_plain(judge(fold)) | counts_of(fold)
        return SweepPoint(**counts, unit=unit, merged=merged, height=height, clusters=clusters)

    def below(ladder: Ladder) -> SweepPoint:
        rung = state[ladder.name] + 1
        return point(ladder.name, ladder.rungs[rung].height, _clusters(ladders, state | {ladder.name: rung}))

    state = dict.fromkeys((ladder.name for ladder in ladders), -1)
    points = [point("", None, {})]
    while left := [ladder for ladder in ladders if state[ladder.name] + 1 < len(ladder.rungs)]:
        best = max(map(below, left), key=lambda point: (task.merit(point.score), point.height or 0.0))
        state[best.merged] += 1
        points.append(best)
    return tuple(points)


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of a sweep, the soft network's validation score that they are held against, and whose score it is."""

    points: tuple[SweepPoint, ...]
    soft: float
    task: Task = CLASSES


def pick(curve: Curve, settings: FoldSettings) -> tuple[SweepPoint, str | None]:
    """The point that settings ask for, by a drop or a budget, or else the knee and why it is that."""
    if settings.max_drop is not None:
        return within_drop(curve.points, curve.soft, settings.max_drop / curve.task.points, curve.task), None
    if settings.budget is not None:
        budget, in_bytes = parse_budget(settings.budget)
        return within_budget(curve.points, budget, curve.task, in_bytes=in_bytes), None
    return knee(curve.points, curve.task)


def within_drop(points: tuple[SweepPoint, ...], soft: float, drop: float, task: Task = CLASSES) -> SweepPoint:
    """The point that stores least among those whose score is worse than `soft` by at most `drop`.

    Among equals the better, then the one with more loops. Raises NothingToFold where no point is as good.
    """

    def lost(point: SweepPoint) -> float:
        return task.merit(soft) - task.merit(point.score)

    good = [point for point in points if lost(point) <= drop + 1e-12]
    if not good:
        least = task.points * min(map(lost, points))
        raise NothingToFold(
            f"`max_drop={task.points * drop:g}` cannot be met: the best point of the sweep is "
            f"{least:.{2 if task.share else 4}f} points under the soft network; allow at least that"
        )
    return min(good, key=lambda point: (point.stored_numbers, lost(point), -point.loops))


def within_budget(points: tuple[SweepPoint, ...], budget: int, task: Task = CLASSES, *, in_bytes: bool) -> SweepPoint:
    """The point with the best score whose size is at most `budget`; among equals the one that stores least.

    Raises NothingToFold where all are larger, saying what can be reached.
    """

    size = attrgetter("bytes" if in_bytes else "parameters")
    check_budget(min(map(size, points)), budget, in_bytes=in_bytes)
    good = [point for point in points if size(point) <= budget]
    return max(good, key=lambda point: (task.merit(point.score), -point.stored_numbers, point.loops))


def check_budget(least: int, budget: int, *, in_bytes: bool) -> None:
    """Raise NothingToFold where `budget` is below the size of the smallest fold, saying what that is."""
    if budget < least:
        unit = "bytes" if in_bytes else "parameters"
        raise NothingToFold(
            f"a `budget` of {budget:,} {unit} cannot be reached: the smallest fold has {least:,}; give at least that"
        )


def complete_tying(ladders: tuple[Ladder, ...]) -> dict[str, Clusters]:
    """The clusters of every group at the end of all ladders."""
    return _clusters(ladders, {ladder.name: len(ladder.rungs) - 1 for ladder in ladders})


def knee(points: tuple[SweepPoint, ...], task: Task = CLASSES) -> tuple[SweepPoint, str]:
    """The point farthest above the straight line from the largest to the smallest fold, and why it is the one.

    Source: Satopaa et al. 2011, "Finding a Kneedle in a Haystack", https://doi.org/10.1109/ICDCSW.2011.20, on the best
    score that each size can have.
    """

    front = _front(points, task)
    last, least, most = front[-1], task.merit(front[-1].score), task.merit(front[0].score)
    span, fall = max(point.stored_numbers for point in points) - last.stored_numbers, most - least
    flat, parts = (FLAT, "points") if task.share else (FLAT * abs(most), "%")
    if not span or fall <= flat + 1e-12:
        return last, f"the smallest fold is within {100 * FLAT:g} {parts} of the best, so there is no knee before it"

    def above(point: SweepPoint) -> float:
        kept = (point.stored_numbers - last.stored_numbers) / span
        return round((task.merit(point.score) - least) / fall - kept, 9)  # equals stay equal in spite of rounding

    best = max(front, key=lambda point: (above(point), -point.stored_numbers))
    beyond = front[front.index(best) + 1] if best is not last else None
    reason = f"{best.stored_numbers:,} shared numbers give {task.written(best.score)} on validation data"
    if beyond is not None:
        reason += f"; the next smaller fold, {beyond.stored_numbers:,}, gives {task.written(beyond.score)}"
    return best, reason


def _front(points: tuple[SweepPoint, ...], task: Task) -> list[SweepPoint]:
    """Points that no smaller one equals: sizes and merits both fall along it."""
    front: list[SweepPoint] = []
    for point in sorted(points, key=lambda p: (p.stored_numbers, -task.merit(p.score), -p.loops)):
        if not front or task.merit(point.score) > task.merit(front[-1].score):
            front.append(point)
    return front[::-1]


def _clusters(ladders: tuple[Ladder, ...], state: Mapping[str, int]) -> dict[str, Clusters]:
    """Clusters of every group at a state of the walk; ladders of one group add their merges up."""
    chosen: dict[str, Clusters] = {}
    for ladder in ladders:
        if state[ladder.name] >= 0:
            for group, clusters in ladder.rungs[state[ladder.name]].clusters.items():
                chosen[group] = joined(chosen[group], clusters) if group in chosen else clusters
    return chosen


def counts_of(plan: FoldPlan) -> dict[str, int]:
    """What a point counts of its fold."""
    return {
        "owners": sum(group.owners for group in plan.groups),
        "stored_numbers": sum(group.stored_numbers for group in plan.groups),
        "loops": plan.program.loops,
        "reuses": count_reuses(plan.program),
    }
