"""foldnet render: one command a picture."""

import typer

from foldnet.verbs.render import PICTURES
from foldnet_cli.guard import add_command
from foldnet_cli.outputs import picture_command


def make_app() -> typer.Typer:
    """A command for each of PICTURES, those too that others registered before."""
    app = typer.Typer(help="Draw a run or a fold.", no_args_is_help=True)
    for name, picture in PICTURES.items():
        add_command(app, picture_command(picture), name)
    return app
