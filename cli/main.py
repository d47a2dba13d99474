"""The program `foldnet`: this file only assembles."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from typing import Annotated, Any

import typer

from foldnet.errors import OutputError
from foldnet.verbs.data import SETS
from foldnet.verbs.render import PICTURES
from foldnet_cli import bench
from foldnet_cli.doctor import doctor
from foldnet_cli.evaluate import evaluate
from foldnet_cli.fold import fold
from foldnet_cli.guard import add_command, settle, speaking
from foldnet_cli.info import info, runs
from foldnet_cli.lsm import lsm
from foldnet_cli.outputs import export_command, grids_command, picture_command
from foldnet_cli.page import complain
from foldnet_cli.train import train_command
from foldnet_cli.verify import verify


def _say_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        sys.stdout.write(f"foldnet {metadata.version('foldnet')}\n")
        raise typer.Exit


def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is, and end.", is_eager=True, callback=_say_version),
    ] = False,
) -> None:
    """What comes before any command."""


@cache
def the_app() -> typer.Typer:
    """The program of this process, made when it is first asked for: with the pictures and exports that are registered
    by then."""
    app = typer.Typer(
        name="foldnet",
        help="Train networks with soft parameter sharing, see which layers came alike, and fold them into loops.",
        epilog="In sequence: foldnet train, foldnet lsm, foldnet fold, foldnet render graph.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_common)
    for command in (train_command(), lsm, fold):
        add_command(app, command)
    _add_group(app, "render", "Draw a run or a fold.", {name: picture_command(kind) for name, kind in PICTURES.items()})
    for command in (evaluate, verify, export_command(), info, runs):
        add_command(app, command)
    _add_group(app, "bench", "Measure speed, memory and size, side by side in one run.", bench.COMMANDS)
    add_command(app, doctor)
    _add_group(app, "data", "Make data sets to keep.", {name: grids_command(kind) for name, kind in SETS.items()})
    return app


def _add_group(app: typer.Typer, name: str, help: str, commands: Mapping[str, Callable[..., Any]]) -> None:
    """Commands of two words, of which the first is `name`."""
    group = typer.Typer(help=help, no_args_is_help=True)
    for second, command in commands.items():
        add_command(group, command, second)
    app.add_typer(group, name=name)


def __getattr__(name: str) -> typer.Typer:
    """`app` is the program of this process."""
    if name != "app":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return the_app()


def main() -> None:
    """Run the command line."""
    # Where a process of several dies, torch's C++ parts would warn the others with backtraces. Read when torch is
    # imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    problem = settle()
    if problem is not None:
        complain(problem)
        raise SystemExit(1)
    try:
        with speaking():
            try:
                the_app()()
            except SystemExit as end:
                code = end.code
    except BrokenPipeError:
        code = 0
    except OutputError as error:  # what is printed outside of commands, such as the help
        complain(str(error))
        code = 1
    raise SystemExit(code)
