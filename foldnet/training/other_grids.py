"""Other grids, strings or sums than a run was trained on, to score it on.

A file of its own: pictures have these options too, and load no dataset.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from foldnet.bounds import as_code, check_number, checked
from foldnet.errors import SettingError, UnknownName, either, nearest
from foldnet.options import Option, fields_of, given_of, plain

if TYPE_CHECKING:
    from foldnet.data.dataset import Dataset
    from foldnet.training.runs import Run
    from foldnet.zoo.blueprint import Blueprint

LONG = "Bits of other strings of prefix-sums, digits of other numbers of addition.  [default: the run's]"
COUNT = 1000
SEED = 0  # other grids are the same for every network


@checked
@dataclass(frozen=True, slots=True)
class GridsLike:
    """The kind of grids; what is None is as in the run's last phase, or as its dataset's preset says."""

    dataset: Annotated[str | None, Option("paths or mazes, for a run of either.  [default: the run's]")] = None
    grid: Annotated[int | None, Option("Side of other grids of paths.  [default: the run's]")] = None
    window: Annotated[int | None, Option("Window (odd) of their queries.  [default: the run's last]")] = None
    obstacles: Annotated[float | None, Option("Probability of their obstacles.  [default: the run's]")] = None
    target: Annotated[str | None, Option("union or one.  [default: the run's]")] = None
    size: Annotated[int | None, Option("Side of other mazes (odd).  [default: the run's]")] = None


@checked
@dataclass(frozen=True, slots=True)
class OtherGrids(GridsLike):
    """Grids, strings or sums to score on; what is None is as in the run's last phase, or as the preset says."""

    length: Annotated[int | None, Option(LONG)] = None
    count: Annotated[int | None, Option("How many other grids, strings or sums.  [default: 1000]")] = None


def other_grids(run: Run, wanted: OtherGrids) -> tuple[Dataset, str]:
    """A dataset to test on that no training has seen, grids or whatever else the run's source draws, and what it is in
    words.

    Raises SettingError for a run of data that are not drawn, for what cannot be drawn and for what is too long for the
    run's network, UnknownName for a dataset that asks for something else.
    """
    from foldnet.data.drawn_sources import DrawnSource
    from foldnet.data.sources import SOURCES
    from foldnet.data.tasks import TASKS
    from foldnet.training.settings import make_source

    own = run.settings.source
    drawn = {name: source.task for name, source in SOURCES.items() if issubclass(source, DrawnSource)}
    if not isinstance(own, DrawnSource):
        asked = given_of(asdict(wanted) | {"count": None})
        mend = "leave out `dataset`, `grid` and the like" if asked else f"name one that was trained on {either(drawn)}"
        raise SettingError(f"run '{run.folder}' was trained on {own.name}, of which no others can be drawn; {mend}")
    same = tuple(name for name, task in drawn.items() if task == own.task)
    name = wanted.dataset or own.name
    if name not in same:
        raise UnknownName(
            f"`dataset={name!r}` has no {TASKS[own.task].unit}; choose {either(same)}{nearest(name, same)}"
        )
    known, given = fields_of(SOURCES[name]), given_of(asdict(wanted) | {"dataset": None})
    count = given.pop("count", COUNT)
    if "window" in given and "windows" in known:
        given["windows"] = (given.pop("window"),)
    for key, value in given.items():
        if key not in known:
            mend = "leave it out" + (" or change `dataset`" if len(same) > 1 else "")
            raise SettingError(f"{as_code(key, value)} has no meaning for {name}; {mend}")
    source = make_source(name, {key: value for key, value in plain(own).items() if key in known} | given)
    assert isinstance(source, DrawnSource)
    check_number("count", count)
    dataset = source.others(count, SEED)
    _check_length(run.blueprint, dataset, source.described)
    return dataset, source.counted(count)


def _check_length(built: Blueprint, dataset: Dataset, described: str) -> None:
    """Raise SettingError for more bytes than a network has learnt places for."""
    if built.family.symbols and not getattr(built.options, "abacus", False) and dataset.size > built.size:
        raise SettingError(
            f"{described} have {dataset.size} bytes and '{built.arch}' has learnt places for {built.size}; give a "
            f"smaller `length`, or train '{built.arch}-abacus', whose places are those of digits in their numbers"
        )
