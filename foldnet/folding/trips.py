"""The depth dial: in which order blocks run when loops run another number of times than they were found with."""

from collections import Counter
from collections.abc import Iterator, Mapping

from foldnet.bounds import BOUNDS, shown
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.folding.program import Item, Program, Step

MOST_STEPS = 100_000  # of a whole program: one row of the schedule each
Use = tuple[str, int]  # label, and which of its steps' own tensors


def schedule(items: tuple[Item, ...], trips: Mapping[str, int] | None = None) -> tuple[Use, ...]:
    """(label, step) in the order of execution.

    As found, the n-th use of a label is its step n. A loop named in `trips` runs that often instead: fewer trips leave out
    the last ones, further trips repeat the steps of the last one found.
    """
    return tuple(_uses(items, trips or {}, Counter()))


def _uses(items: tuple[Item, ...], trips: Mapping[str, int], seen: Counter[str]) -> Iterator[Use]:
    """Walk the items; `seen` counts the uses that the program as found has had of each label."""
    for item in items:
        if isinstance(item, Step):
            yield item.label, seen[item.label]
            seen[item.label] += 1
            continue
        found = [tuple(_uses(item.body, trips, seen)) for _ in range(item.times)]
        wanted = trips.get(item.name, item.times)
        for trip in range(wanted):
            yield from found[min(trip, item.times - 1)]


def loops_of(program: Program) -> dict[str, int]:
    """Every loop by name, with the number of trips it was found with."""

    def inside(items: tuple[Item, ...]) -> Iterator[tuple[str, int]]:
        for item in items:
            if not isinstance(item, Step):
                yield item.name, item.times
                yield from inside(item.body)

    return {name: times for stage in program.stages for name, times in inside(stage.items)}


def check_trips(program: Program, trips: Mapping[str, int]) -> None:
    """Raise UnknownName for a loop that is not there, SettingError for fewer than one trip or for steps without end."""
    loops = loops_of(program)
    for name, count in trips.items():
        if name not in loops:
            there = f"the loops are {', '.join(loops)}" if loops else "this network has no loop"
            raise UnknownName(f"`steps` names '{name}', which is not a loop{nearest(name, loops)}; {there}")
        if not BOUNDS["steps"].holds(count):
            raise SettingError(f"`steps={{{name!r}: {shown(count)}}}` is not legal; give {BOUNDS['steps']}")
    total = sum(_length(item, trips) for stage in program.stages for item in stage.items)
    if total > MOST_STEPS:
        raise SettingError(
            f"`steps` asks for {total:,} steps in all; turn loops inside loops less, to {MOST_STEPS:,} at most"
        )


def _length(item: Item, trips: Mapping[str, int]) -> int:
    """How many steps an item runs, without running them."""
    if isinstance(item, Step):
        return 1
    return trips.get(item.name, item.times) * sum(_length(inner, trips) for inner in item.body)
