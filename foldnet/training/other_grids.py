"""Other grids than a run was trained on, to score it on.

A file of its own: pictures have these options too, and load no dataset.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from foldnet.bounds import as_code, checked
from foldnet.errors import SettingError, UnknownName, either, nearest
from foldnet.options import Option, fields_of, given_of, plain

if TYPE_CHECKING:
    from foldnet.data.dataset import Dataset
    from foldnet.training.runs import Run

COUNT = 1000
SEED = 0  # other grids are the same for every network


@checked
@dataclass(frozen=True, slots=True)
class GridsLike:
    """The kind of grids; what is None is as in the run's last phase, or as its dataset's preset says."""

    dataset: Annotated[str | None, Option("paths or mazes.  [default: the run's]")] = None
    grid: Annotated[int | None, Option("Side of other grids of paths.  [default: the run's]")] = None
    window: Annotated[int | None, Option("Window (odd) of their queries.  [default: the run's last]")] = None
    obstacles: Annotated[float | None, Option("Probability of their obstacles.  [default: the run's]")] = None
    target: Annotated[str | None, Option("union or one.  [default: the run's]")] = None
    size: Annotated[int | None, Option("Side of other mazes (odd).  [default: the run's]")] = None


@checked
@dataclass(frozen=True, slots=True)
class OtherGrids(GridsLike):
    """Grids to score on; what is None is as in the run's last phase, or as its dataset's preset says."""

    count: Annotated[int | None, Option("How many other grids.  [default: 1000]")] = None


def other_grids(run: Run, wanted: OtherGrids) -> tuple[Dataset, str]:
    """A dataset of test grids that no training has seen, and what they are in words.

    Raises SettingError for a run of another kind of data or for grids that cannot be, UnknownName for another dataset.
    """
    from foldnet.data.curriculum import dataset_of, images_of_grids
    from foldnet.data.rules import draw_grids
    from foldnet.data.sources import SOURCES, GridSource, make_source

    own = run.settings.source
    grids = tuple(name for name, source in SOURCES.items() if issubclass(source, GridSource))
    if not isinstance(own, GridSource):
        asked = given_of(asdict(wanted) | {"count": None})
        mend = "leave out `dataset`, `grid` and the like" if asked else f"name one that was trained on {either(grids)}"
        raise SettingError(f"run '{run.folder}' was trained on {own.name}, whose images have no grids; {mend}")
    name = wanted.dataset or own.name
    if name not in grids:
        raise UnknownName(f"`dataset={name!r}` has no grids; choose {either(grids)}{nearest(name, grids)}")
    known, given = fields_of(SOURCES[name]), given_of(asdict(wanted) | {"dataset": None})
    count = given.pop("count", COUNT)
    if "window" in given and "windows" in known:
        given["windows"] = (given.pop("window"),)
    for key, value in given.items():
        if key not in known:
            raise SettingError(f"{as_code(key, value)} has no meaning for {name}; leave it out or change `dataset`")
    source = make_source(name, {key: value for key, value in plain(own).items() if key in known} | given)
    assert isinstance(source, GridSource)
    rule = source.rules[-1]
    images = images_of_grids(draw_grids(count, rule, seed=SEED, phase=0, split="test"))
    return dataset_of(rule, images, images), f"{count} {source.described}"
