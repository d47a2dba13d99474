"""foldnet export: one command for all formats."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from foldnet.bounds import as_code
from foldnet.drawing.output import FOLD
from foldnet.errors import SettingError
from foldnet.verbs.export import EXPORTS, format_of
from foldnet_cli.options import Force, Output
from foldnet_cli.outputs import argument_of, keyword, parameters_of_options, write


def export_command() -> Callable[..., Any]:
    """The command with the options of all EXPORTS, those too that others registered before."""
    own = {name: entry for known in EXPORTS.values() for name, entry in parameters_of_options(known).items()}
    said = f"{', '.join(EXPORTS)}.  [default: by the ending of -o]"
    chosen = Annotated[str | None, typer.Option("--format", help=said, autocompletion=lambda: list(EXPORTS))]
    file = [argument_of(FOLD), keyword("format", None, chosen), keyword("output", None, Output)]
    export.__signature__ = inspect.Signature([*file, *own.values(), keyword("force", False, Force)])  # type: ignore[attr-defined]
    return export


def export(named: Any, format: str | None, output: Any, force: bool, **given: Any) -> Any:
    """Write a fold for other programs: its graph for Graphviz (dot), or as GraphML or JSON (networkx's node-link
    form)."""
    kind = format_of(format, output)
    known = parameters_of_options(kind)
    for name, value in given.items():
        if name not in known and value not in (None, False):
            raise SettingError(f"{as_code(name, value)} has no meaning for '{kind.name}'; leave it out")
    return write(kind, named, output, force, given)
