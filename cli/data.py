"""foldnet data: one command a kind of data that foldnet makes itself."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.verbs.data import SETS, GridSet, write_grids
from foldnet_cli.guard import add_command
from foldnet_cli.options import Force, parameters_of
from foldnet_cli.outputs import keyword

Npz = Annotated[
    Path | None, typer.Option("-o", "--out", "--output", help="NumPy file (.npz) to write.  [default: a new one here]")
]


def make_app() -> typer.Typer:
    """A command for each of SETS."""
    app = typer.Typer(help="Make data sets to keep.", no_args_is_help=True)
    for name, kind in SETS.items():
        add_command(app, _command(kind), name)
    return app


def _command(kind: type[GridSet]) -> Callable[..., Any]:
    """The command that draws and writes one kind of set."""

    def command(output: Path | None, force: bool, **given: Any) -> Any:
        return write_grids(kind(**given), output, force=force)

    command.__doc__ = kind.__doc__
    last = [keyword("output", None, Npz), keyword("force", False, Force)]
    command.__signature__ = inspect.Signature([*parameters_of(kind).values(), *last])  # type: ignore[attr-defined]
    return command
