"""The program `foldnet`: this file only assembles."""

import os
import sys
from functools import cache
from importlib import metadata
from typing import Annotated

import typer

from foldnet.errors import OutputError
from foldnet_cli import data, render
from foldnet_cli.bench import app as bench
from foldnet_cli.doctor import doctor
from foldnet_cli.evaluate import evaluate
from foldnet_cli.export import export_command
from foldnet_cli.fold import fold_command
from foldnet_cli.guard import add_command, settle, speaking
from foldnet_cli.info import info, runs
from foldnet_cli.lsm import lsm
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


def make_app() -> typer.Typer:
    """The whole program, with the pictures and exports that are registered by now."""
    app = typer.Typer(
        name="foldnet",
        help="Train networks with soft parameter sharing, see which layers came alike, and fold them into loops.",
        epilog="In sequence: foldnet train, foldnet lsm, foldnet fold, foldnet render graph.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_common)
    for command in (train_command(), lsm, fold_command()):
        add_command(app, command)
    app.add_typer(render.make_app(), name="render")
    for command in (evaluate, verify, export_command(), info, runs):
        add_command(app, command)
    app.add_typer(bench, name="bench")
    add_command(app, doctor)
    app.add_typer(data.make_app(), name="data")
    return app


@cache
def the_app() -> typer.Typer:
    """The program of this process, made when it is first asked for."""
    return make_app()


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
