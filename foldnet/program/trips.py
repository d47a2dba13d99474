"""The depth dial: in which order blocks run when loops run another number of times than they were found with."""

from collections import Counter
from collections.abc import Iterator, Mapping

from foldnet.bounds import BOUNDS, shown
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.program.data import Item, Program, Step, loops_in

Use = tuple[str, int]  # label, and which of its steps' own tensors
MOST_RUNS = 10_000  # of blocks, in one pass


def schedule(items: tuple[Item, ...], trips: Mapping[str, int] | None = None) -> tuple[Use, ...]:
    """(label, step) in the order of execution.

    As found, the n-th use of a label is its step n. A loop named in `trips` runs that often instead: fewer trips leave
    out the last ones, further trips repeat the steps of the last one found.
    """
    return tuple((label, step) for label, step, _ in _uses(items, trips or {}, Counter(), 1.0))


def scales(items: tuple[Item, ...], trips: Mapping[str, int]) -> tuple[float, ...]:
    """For each entry of the schedule: trips found by trips run, multiplied over the loops around it."""
    return tuple(scale for _, _, scale in _uses(items, trips, Counter(), 1.0))


def give_own_steps(
    order: tuple[Use, ...], steps: Mapping[str, int]
) -> tuple[tuple[Use, ...], dict[str, tuple[int, ...]]]:
    """The schedule in which whatever runs again runs with a step of its own, and by label the steps that those are
    copies of.

    `steps` counts the steps found of the labels that have any; own ones are numbered behind those.
    """
    used: set[Use] = set()
    copied: dict[str, list[int]] = {}
    own: list[Use] = []
    for label, step in order:
        use = label, step
        if use in used and label in steps:
            copies = copied.setdefault(label, [])
            use = label, steps[label] + len(copies)
            copies.append(step)
        used.add(use)
        own.append(use)
    return tuple(own), {label: tuple(copies) for label, copies in copied.items()}


def _uses(
    items: tuple[Item, ...], trips: Mapping[str, int], seen: Counter[str], scale: float
) -> Iterator[tuple[str, int, float]]:
    """Walk the items; `seen` counts the uses that the program as found has had of each label."""
    for item in items:
        if isinstance(item, Step):
            yield item.label, seen[item.label], scale
            seen[item.label] += 1
            continue
        wanted = trips.get(item.name, item.times)
        part = scale * item.times / wanted if wanted else scale
        found = [tuple(_uses(item.body, trips, seen, part)) for _ in range(item.times)]
        for trip in range(wanted):
            yield from found[min(trip, item.times - 1)]


def count_runs(items: tuple[Item, ...], trips: Mapping[str, int]) -> int:
    """How many blocks run one after the other, without walking them."""
    return sum(
        1 if isinstance(item, Step) else trips.get(item.name, item.times) * count_runs(item.body, trips)
        for item in items
    )


def loops_of(program: Program) -> dict[str, int]:
    """Every loop by name, with the number of trips it was found with."""
    return {loop.name: loop.times for stage in program.stages for loop in loops_in(stage.items)}


def check_trips(program: Program, trips: Mapping[str, int], setting: str = "steps") -> None:
    """Raise UnknownName for a loop that is not there, SettingError for trips out of bounds or more than MOST_RUNS runs.

    The sentences speak of the `setting` by which the trips were given.
    """
    loops = loops_of(program)
    for name, count in trips.items():
        if name not in loops:
            there = f"the loops are {', '.join(loops)}" if loops else "this network has no loop"
            raise UnknownName(f"`{setting}` names '{name}', which is not a loop{nearest(str(name), loops)}; {there}")
        if not BOUNDS["steps"].holds(count):
            raise SettingError(f"`{setting}={{{name!r}: {shown(count)}}}` is not legal; give {BOUNDS['steps']}")
    runs = sum(count_runs(stage.items, trips) for stage in program.stages)
    if trips and runs > MOST_RUNS:
        raise SettingError(
            f"`{setting}` makes {runs:,} runs of blocks in all; turn loops less, to {MOST_RUNS:,} at most"
        )
