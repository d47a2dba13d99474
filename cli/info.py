"""foldnet info."""

from typing import Any

from foldnet_cli.options import argument, takes


@takes(argument("name", "ARCH or RUN or FOLD or FILE", "Left out: the runs here.", str))
def info(name: str | None) -> Any:
    """Say what a network is made of: an architecture by name, a run, a fold, or a safetensors file."""
    from foldnet.verbs.info import info as recipe
    from foldnet.verbs.listing import list_runs

    return list_runs() if name is None else recipe(name)


def runs() -> Any:
    """List the runs here and their folds, with what they were trained on, how well they do and their sizes."""
    from foldnet.verbs.listing import list_runs

    return list_runs()
