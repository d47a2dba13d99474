"""Commands made of outputs: what they write is declared in foldnet, their options are the fields of an output's
options."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.drawing.output import FOLD, RUN, Output, Subject, make
from foldnet.options import fields_of
from foldnet_cli import options
from foldnet_cli.options import NUMBERS, parameters_of
from foldnet_cli.page import tell


def run_or_newest(run: Path | None) -> Path:
    """The run named, else the newest one. Raises RunError where there is none."""
    return _taken(RUN, run)


def fold_or_newest(fold: Path | None) -> Path:
    """The fold named, else the newest one of the run named, or of the newest run. Raises RunError where there is
    none."""
    return _taken(FOLD, fold)


def _taken(of: Subject, named: Path | None) -> Path:
    """What is taken, said where it was not named."""
    taken = of.take(named)
    if taken.said:
        tell(taken.said)
    return Path(taken.what)


def run_to_resume() -> Path | None:
    """The newest run, where there is one to go on with."""
    from foldnet.training.begin import folder_to_resume

    run = folder_to_resume(None)
    if run is not None:
        tell(f"takes {run}, the newest run")
    return run


# Options that other commands have as well, with their names and their help.
SHARED = {
    "checkpoint": options.Checkpoint,
    "data_dir": options.DataDir,
    "device": options.Device,
    "metric": options.Metric,
    "run": options.RunOption,
}


def picture_command(output: type[Output]) -> Callable[..., Any]:
    """The command that writes a picture: what it is of, -o, its options, --force."""

    def command(**given: Any) -> Any:
        return write(output, given.pop("named"), given.pop("output"), given.pop("force"), given)

    command.__doc__ = output.__doc__
    own = [argument_of(output.of), keyword("output", None, options.Output)]
    last = keyword("force", False, options.Force)
    command.__signature__ = inspect.Signature([*own, *parameters_of_options(output).values(), last])  # type: ignore[attr-defined]
    return command


def write(output: type[Output], named: Any, out: Path | None, force: bool, given: Mapping[str, Any]) -> Any:
    """Write one output and say what was taken; gives what is to be shown: what was measured for it, or what was
    written."""
    from foldnet_cli.page import tell
    from foldnet_cli.progress import watching

    with watching() if output.watched else nullcontext() as observer:
        written = make(output, named, out, values_of(output, given), force=force, observer=observer, say=tell)
    if written.report is None:
        return written
    tell(f"wrote {written.file}")
    return written.report


def argument_of(of: Subject) -> inspect.Parameter:
    """What an output is of."""
    kind: Any = list[Path] if of.several else Path
    info = typer.Argument(metavar=of.metavar, help=of.help, show_default=False)
    return keyword("named", None, Annotated[kind | None, info])


def parameters_of_options(settings: type) -> dict[str, inspect.Parameter]:
    """A parameter for each option, in order; options that are settings themselves bring their fields."""
    made = parameters_of(settings, leave=SHARED)
    found: dict[str, inspect.Parameter] = {}
    for name, field in fields_of(settings).items():
        if isinstance(field.type, type) and is_dataclass(field.type):
            found |= parameters_of_options(field.type)
        else:
            found[name] = keyword(name, field.default, SHARED[name]) if name in SHARED else made[name]
    return found


def values_of(settings: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options out of those of parameters; settings of which nothing was given are None."""
    from foldnet_cli.parsing import parse_trips

    found: dict[str, Any] = {}
    for name, field in fields_of(settings).items():
        if isinstance(field.type, type) and is_dataclass(field.type):
            inner = values_of(field.type, given)
            said = any(value is not None for value in inner.values())
            found[name] = field.type(**inner) if said else None
        else:
            value = given[name]
            found[name] = parse_trips(value) if field.type == NUMBERS and isinstance(value, str) else value
    return found


def keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    """A parameter."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
