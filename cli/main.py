"""The program `foldnet`: this file only assembles."""

import os
import sys
from functools import cache
from importlib import import_module, metadata
from typing import Annotated

import typer

from foldnet.errors import OutputError
from foldnet_cli.guard import add_command, settle, speaking
from foldnet_cli.page import complain

# In the order of use. Only the module of the command that is called is imported, or all where help asks for them.
COMMANDS = [
    "train",
    "plan",
    "convert",
    "lsm",
    "fold",
    "render",
    "evaluate",
    "verify",
    "export",
    "report",
    "card",
    "info",
    "runs",
    "study",
]
COMMANDS += ["bench", "doctor", "data"]
ELSEWHERE = {"render": "outputs", "export": "outputs", "runs": "info", "data": "outputs"}  # than in a file of its name
NO_NETWORK = ("runs", "doctor", "data")  # commands that make none
GROUPS = {  # of two words each: the commands are what a function of that name gives
    "render": "Draw a run, a fold or a study.",
    "study": "Run many trainings that belong together, and compare them.",
    "bench": "Measure speed, memory and size, side by side in one run.",
    "data": "Make data sets to keep.",
}


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
def the_app(only: str | None = None) -> typer.Typer:
    """The program of this process, made when it is first asked for: with the pictures and exports that are registered
    by then. Of its commands it has `only` one, where there is one of that name, else all."""
    app = typer.Typer(
        name="foldnet",
        help="Train networks with soft parameter sharing, see which layers came alike, and fold them into loops.",
        epilog="In sequence: foldnet train, foldnet lsm, foldnet fold, foldnet render graph.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_common)
    for name in [only] if only in COMMANDS else COMMANDS:
        command = getattr(import_module(f"foldnet_cli.{ELSEWHERE.get(name, name)}"), name)
        if name not in GROUPS:
            add_command(app, command, code=name not in NO_NETWORK)
            continue
        group = typer.Typer(help=GROUPS[name], no_args_is_help=True)
        for second, inner in command().items():
            add_command(group, inner, second, code=name not in NO_NETWORK)
        app.add_typer(group, name=name)
    return app


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
                the_app(*sys.argv[1:2])()
            except SystemExit as end:
                code = end.code
    except BrokenPipeError:
        code = 0
    except OutputError as error:  # what is printed outside of commands, such as the help
        complain(str(error))
        code = 1
    raise SystemExit(code)
