"""Commands that write files, each made of what foldnet declares: pictures, exports, and sets of grids."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.bounds import as_code
from foldnet.drawing.output import FOLD, RUN, Output, Subject, make
from foldnet.errors import SettingError
from foldnet_cli.guard import watching
from foldnet_cli.options import FORCE, argument, keyword, out_file, parameters_of, takes, values_of
from foldnet_cli.page import tell

if TYPE_CHECKING:
    from foldnet.verbs.data import GridSet


def argument_of(of: Subject, name: str = "named") -> inspect.Parameter:
    """What an output is of."""
    kind: Any = list[Path] if of.several else Path
    return argument(name, of.metavar, of.help, kind)


RUN_ARGUMENT, FOLD_ARGUMENT = argument_of(RUN, "run"), argument_of(FOLD, "fold")
OUTPUT = out_file("File to write; its ending chooses the format.  [default: in the folder of what is shown]")
NPZ = out_file("NumPy file (.npz) to write.  [default: a new one here]")


def render() -> dict[str, Callable[..., Any]]:
    """A command a picture: what it is of, -o, its options, --force."""
    from foldnet.verbs.render import PICTURES

    return {
        name: _made_of(kind, write, argument_of(kind.of), OUTPUT, *parameters_of(kind).values(), FORCE)
        for name, kind in PICTURES.items()
    }


def data() -> dict[str, Callable[..., Any]]:
    """A command a kind of set, which draws and writes it."""
    from foldnet.verbs.data import SETS

    return {
        name: _made_of(kind, _write_grids, *parameters_of(kind).values(), NPZ, FORCE) for name, kind in SETS.items()
    }


def _made_of(kind: type, act: Callable[..., Any], *parameters: inspect.Parameter) -> Callable[..., Any]:
    """The command that does `act` with one kind, whose docstring is its help."""
    command = partial(act, kind)
    command.__doc__ = kind.__doc__
    return takes(*parameters)(command)


def _write_grids(kind: "type[GridSet]", /, output: Path | None, force: bool, **given: Any) -> Any:
    """Draw and write one set."""
    from foldnet.verbs.data import write_grids

    return write_grids(kind(**given), output, force=force)


def _options_of_exports() -> Iterator[inspect.Parameter]:
    """A fold, --format, and the options of all EXPORTS, those too that others registered before."""
    from foldnet.verbs.export import EXPORTS
    from foldnet.verbs.exports.subject import NETWORK

    said = f"{', '.join(EXPORTS)}.  [default: by the ending of -o]"
    chosen = keyword("format", str, None, "--format", help=said, autocompletion=lambda: list(EXPORTS))
    own = {name: entry for known in EXPORTS.values() for name, entry in parameters_of(known).items()}
    yield from (argument_of(NETWORK), chosen, OUTPUT, *own.values(), FORCE)


@takes(_options_of_exports)
def export(named: Path | None, format: str | None, output: Path | None, force: bool, **given: Any) -> Any:
    """Write a fold for other programs: its network as ONNX with real loops, as torch's own format (pt2) or as tensors
    (safetensors), or its graph, for Graphviz (dot), as GraphML or JSON (networkx's node-link form)."""
    from foldnet.verbs.export import format_of

    kind = format_of(format, output)
    for name, value in given.items():
        if name not in parameters_of(kind) and value not in (None, False):
            raise SettingError(f"{as_code(name, value)} has no meaning for '{kind.name}'; leave it out")
    return write(kind, named, output, force, **given)


def write(kind: type[Output], /, named: Any, output: Path | None, force: bool, **given: Any) -> Any:
    """Write one output and say what was taken; gives what is to be shown: what was measured for it, or what was
    written."""
    with watching() if kind.watched else nullcontext() as observer:
        written = make(kind, named, output, values_of(kind, given), force=force, observer=observer, say=tell)
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
    with watching() as observer:
        return verb(*args, observer=observer, **options)
