"""Commands that write files, each made of what foldnet declares: pictures, exports, and sets of grids."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from foldnet.bounds import as_code
from foldnet.drawing.output import FOLD, RUN, Output, Subject, make
from foldnet.errors import SettingError
from foldnet.verbs.data import GridSet, write_grids
from foldnet.verbs.export import EXPORTS, format_of
from foldnet_cli.options import FORCE, OUTPUT, argument_of, keyword, out_file, parameters_of, takes, values_of
from foldnet_cli.page import tell


def picture_command(kind: type[Output]) -> Callable[..., Any]:
    """The command that draws a picture: what it is of, -o, its options, --force."""

    @takes(argument_of(kind.of), OUTPUT, *parameters_of(kind).values(), FORCE)
    def command(named: Any, output: Path | None, force: bool, **given: Any) -> Any:
        return write(kind, named, output, force, given)

    command.__doc__ = kind.__doc__
    return command


def grids_command(kind: type[GridSet]) -> Callable[..., Any]:
    """The command that draws and writes one kind of set."""

    @takes(*parameters_of(kind).values(), out_file("NumPy file (.npz) to write.  [default: a new one here]"), FORCE)
    def command(output: Path | None, force: bool, **given: Any) -> Any:
        return write_grids(kind(**given), output, force=force)

    command.__doc__ = kind.__doc__
    return command


def export_command() -> Callable[..., Any]:
    """The command with the options of all EXPORTS, those too that others registered before."""
    own = {name: entry for known in EXPORTS.values() for name, entry in parameters_of(known).items()}
    said = f"{', '.join(EXPORTS)}.  [default: by the ending of -o]"
    chosen = keyword("format", str, None, "--format", help=said, autocompletion=lambda: list(EXPORTS))
    return takes(argument_of(FOLD), chosen, OUTPUT, *own.values(), FORCE)(export)


def export(named: Path | None, format: str | None, output: Path | None, force: bool, **given: Any) -> Any:
    """Write a fold for other programs: its graph for Graphviz (dot), or as GraphML or JSON (networkx's node-link
    form)."""
    kind = format_of(format, output)
    for name, value in given.items():
        if name not in parameters_of(kind) and value not in (None, False):
            raise SettingError(f"{as_code(name, value)} has no meaning for '{kind.name}'; leave it out")
    return write(kind, named, output, force, given)


def write(kind: type[Output], named: Any, out: Path | None, force: bool, given: Mapping[str, Any]) -> Any:
    """Write one output and say what was taken; gives what is to be shown: what was measured for it, or what was
    written."""
    from foldnet_cli.progress import watching

    with watching() if kind.watched else nullcontext() as observer:
        written = make(kind, named, out, values_of(kind, given), force=force, observer=observer, say=tell)
    if written.report is None:
        return written
    tell(f"wrote {written.file}")
    return written.report


def taken(named: Path | None, of: Subject = RUN) -> Path:
    """The run or fold named, else the newest one, which is said. Raises RunError where there is none."""
    found = of.take(named)
    if found.said:
        tell(found.said)
    return Path(found.what)


def watch(verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a verb returns, which is given an observer that is shown on stderr."""
    from foldnet_cli.progress import watching

    with watching() as observer:
        return verb(*args, observer=observer, **options)
