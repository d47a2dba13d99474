"""A file that foldnet writes of a run or a fold, declared: what it shows and of what, its formats and its options.

Pictures and exports are such objects in registries; commands are made from them. Importing this is cheap: what writes a
file is imported when it is written, so that its name and its options are checked before anything heavy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from foldnet.errors import SettingError, check_known, either, nearest
from foldnet.options import check_fields, fields_of
from foldnet.store.files import free_name, refuse_existing

FIGURE_ENDINGS = (".png", ".svg", ".pdf")
LSM_ENDINGS = (*FIGURE_ENDINGS, ".csv", ".json", ".npy", ".npz")
HISTORY_ENDINGS = (*FIGURE_ENDINGS, ".npy", ".npz")
SOURCE = (".dot", ".gv")
DOT_ENDINGS = (".svg", ".png", ".pdf", *SOURCE)  # the first three need Graphviz's program dot
GRAPH_ENDINGS: tuple[str, ...] = (*DOT_ENDINGS, ".graphml", ".json")


def check_ending(path: Path, legal: tuple[str, ...] = FIGURE_ENDINGS) -> str:
    """The path's ending in small letters. Raises SettingError where it is not one of `legal`."""
    ending = path.suffix.lower()
    if ending not in legal:
        what = f"ending '{path.suffix}'" if path.suffix else "no ending"
        raise SettingError(f"'{path}' has {what}; give it one of {', '.join(legal)}")
    return ending


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file will show: a path, several, or a network in memory. `said` says what was taken where nobody named it.

    Without a name of its own the file goes into `folder`, called `name` where that is not the output's; `shown` is what
    the report names, by kind.
    """

    what: Any
    folder: Path = Path()
    said: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an output shows, as the command line calls it; `take` finds it from what was named."""

    metavar: str
    help: str
    take: Callable[[Any], Taken]
    several: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, the run, fold or runs that it shows, and what was measured for it."""

    file: Path
    shown: Mapping[str, Any] = field(default_factory=dict)
    report: Any = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"file": str(self.file), **self.shown}


@dataclass(frozen=True, slots=True)
class Output:
    """One kind of file, a subclass each: its docstring is the help of its command, its fields are the options, with an
    Option each.

    `of` is what it shows, `name` the file's where nobody gives one, `endings` those that it can write.
    """

    of: ClassVar[Subject]
    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    watched: ClassVar[bool] = False  # whether it takes long, so that progress is shown

    def write(self, what: Any, file: Path, observer: Any) -> Any:
        """Write the file, whole or not at all; gives what was measured for it, or None."""
        raise NotImplementedError

    def take(self, named: Any) -> Taken:
        """What to show: what was named, else what `of` finds."""
        return self.of.take(named)

    @classmethod
    def check_place(cls, out: Path | str | None, *, force: bool) -> None:
        """Raise OutputError for a place that will not do, SettingError for an ending that names no format of this
        output."""
        refuse_existing(out, force=force)
        if out is not None:
            check_ending(Path(out), cls.endings)


def make(
    kind: type[Output],
    named: Any = None,
    out: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
    observer: Any = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Written:
    """Write one file, of what was `named` or is found; what exists is replaced only by `force`, or gets a numbered
    sibling.

    Raises SettingError for options and endings that are not legal, OutputError for a place that will not do, and what
    finding, opening and drawing raise.
    """
    known = fields_of(kind)
    for name in options or ():
        if name not in known:
            there = f"; its options are {', '.join(known)}" if known else "; it has no options"
            raise SettingError(f"`{name}` is no option of {kind.__name__.lower()}{nearest(name, known) or there}")
    output = kind(**(options or {}))
    check_fields(output)
    kind.check_place(out, force=force)
    taken = output.take(named)
    if taken.said:
        say(taken.said)
    file = Path(out) if out is not None else _default(taken.folder / (taken.name or kind.name), force)
    return Written(file, taken.shown, output.write(taken.what, file, observer))


def _default(file: Path, force: bool) -> Path:
    """The name that a file gets where the user gives none. Raises OutputError where it would be written through a
    link."""
    from foldnet.store.artifact import refuse_linked

    refuse_linked(file.parent)
    return file if force else free_name(file)


def chosen(outputs: Mapping[str, type[Output]], name: str, kind: str) -> type[Output]:
    """The output of that name. Raises UnknownName where there is none."""
    check_known([name], outputs, lambda _: f"there is no {kind} '{name}'; choose {either(outputs)}")
    return outputs[name]


def _take_run(named: Any) -> Taken:
    """The run named, else the newest one. Raises RunError where there is none."""
    from foldnet.training.runs import newest_run

    path = Path(named) if named is not None else newest_run()
    return Taken(path, path, "" if named is not None else f"using {path}, the newest run", {"run": str(path)})


def _take_fold(named: Any) -> Taken:
    """The fold named, else the newest one of the run named, or of the newest run; a network in memory is taken as it
    is."""
    from foldnet.folding.opening import fold_folder

    if not isinstance(named, str | Path | None):
        return Taken(named)
    folder = fold_folder(named)
    said = f"using {folder}, the newest fold of {'the newest run' if named is None else named}"
    return Taken(folder, folder, "" if named is not None and folder == Path(named) else said, {"fold": str(folder)})


def several(named: Any) -> tuple[Path, ...]:
    """Paths, of which one may be given alone."""
    return (Path(named),) if isinstance(named, str | Path) else tuple(map(Path, named or ()))


def _take_networks(named: Any) -> Taken:
    """The runs and folds named; a file of them lies beside the first."""
    paths = several(named)
    return Taken(paths, paths[0].parent if paths else Path())


def _take_study(named: Any) -> Taken:
    """The study's folder or result file named, else the newest study. Raises RunError where there is none."""
    from foldnet.errors import RunError
    from foldnet.store.artifact import STUDY
    from foldnet.store.files import studies_home

    if named is not None:
        path = Path(named)
        return Taken(path, path if path.is_dir() else path.parent, "", {"study": str(path)})
    home = studies_home()
    found = STUDY.all_in(home)
    if not found:
        raise RunError(f"there is no study under '{home}'; run one with `foldnet study run`, or name its folder")
    return Taken(found[-1], found[-1], f"using {found[-1]}, the newest study", {"study": str(found[-1])})


RUN = Subject("RUN", "Run folder; left out, the newest under --home.", _take_run)
FOLD = Subject("FOLD", "Fold folder, or a run for its newest fold; left out, the newest run's.", _take_fold)
STUDY = Subject("STUDY", "Study folder, or a result file; left out, the newest study.", _take_study)
NETWORKS = Subject("RUN or FOLD", "Run and fold folders.", _take_networks, several=True)
