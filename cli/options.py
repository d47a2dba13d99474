"""Options that more than one command takes, each written once, and those that are fields of settings."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.drawing.output import FOLD, RUN, Subject
from foldnet.errors import SettingError
from foldnet.options import Field, fields_of
from foldnet.training.settings import written


def argument_of(of: Subject) -> Any:
    """The argument that names what a command is about; None where it is left out."""
    kind: Any = list[Path] if of.several else Path
    return Annotated[kind | None, typer.Argument(metavar=of.metavar, help=of.help, show_default=False)]


RunArgument = argument_of(RUN)
FoldArgument = argument_of(FOLD)
EitherArgument = Annotated[
    Path | None,
    typer.Argument(metavar="RUN or FOLD", help="Run or fold folder; left out, the newest run.", show_default=False),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--out", "--output", help="File to write; its ending chooses the format.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
ForceTwice = Annotated[
    int,
    typer.Option(
        "--force",
        count=True,
        metavar="<bool>",
        show_default=False,
        help="Replace the run or fold that is there; twice: with folds and notes inside it.",
    ),
]
Checkpoint = Annotated[str, typer.Option(help="Which weights of the run: last or best (by validation).")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="RUN", help="The run of a fold that does not lie inside it.", show_default=False),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where the dataset lies, for cifar10, cifar100 and folder; no run keeps it.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16 (auto: bf16 where the hardware has it).")]
Compile = Annotated[str, typer.Option(help="auto, on or off: torch.compile (auto: on a GPU).")]
Metric = Annotated[
    str | None,
    typer.Option(help="coefficients or weights.  [default: coefficients; for a plain network weights]"),
]
SHARED = {  # what a field without a help of its own is
    "checkpoint": Checkpoint,
    "compile": Compile,
    "data_dir": DataDir,
    "device": Device,
    "metric": Metric,
    "precision": Precision,
    "run": RunOption,
}
NUMBERS = tuple[int, ...]


def parameters_of(
    settings: type, *, usual: Callable[[str], str] | None = None, leave: Iterable[str] = ()
) -> dict[str, inspect.Parameter]:
    """A parameter for each field that has a place on the command line, by name; None where it was not given. Fields
    that are settings themselves bring their own.

    `usual` gives the default of a field in words, which differs from dataset to dataset; without it the field's own is
    used.
    """
    found: dict[str, inspect.Parameter] = {}
    for name, field in fields_of(settings).items():
        if isinstance(field.type, type) and is_dataclass(field.type):
            found |= parameters_of(field.type)
        elif field.option.flag is not None and name not in leave:
            if name in SHARED and not field.option.help:
                found[name] = keyword(name, field.default, SHARED[name])
            else:
                found[name] = _parameter(field, usual and usual(name))
    return found


def values_of(settings: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of fields out of those of parameters; settings of which nothing was given are None.

    Raises SettingError for what is no list of whole numbers where one is wanted.
    """
    found: dict[str, Any] = {}
    for name, field in fields_of(settings).items():
        if isinstance(field.type, type) and is_dataclass(field.type):
            inner = values_of(field.type, given)
            said = any(value is not None for value in inner.values())
            found[name] = field.type(**inner) if said else None
        elif name in given:
            found[name] = _numbers(field, given[name]) if field.type == NUMBERS else given[name]
    return found


def with_parameters(
    function: Callable[..., Any], parameters: Iterable[inspect.Parameter], doc: str | None = None, **own: Any
) -> Callable[..., Any]:
    """`function`, which takes keywords, with a signature that Typer reads: its own parameters, and in place of `**`
    these.

    `own` annotates some of its own parameters, `doc` is its help; both where they are not known until now.
    """

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    first: list[inspect.Parameter] = []
    last: list[inspect.Parameter] = []
    for entry in inspect.signature(function).parameters.values():
        if entry.kind is not entry.VAR_KEYWORD:
            entry = entry.replace(annotation=own.get(entry.name, entry.annotation))
            (last if entry.kind is entry.KEYWORD_ONLY else first).append(entry)
    command.__signature__ = inspect.Signature([*first, *parameters, *last])  # type: ignore[attr-defined]
    command.__doc__ = doc or function.__doc__
    return command


def keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    """A parameter."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parameter(field: Field, usual: str | None) -> inspect.Parameter:
    """One field as a keyword."""
    option, switch = field.option, field.type is bool
    default = field.default if usual is None and (switch or not field.optional) else None
    if field.type == NUMBERS and default is not None:
        default = written(default)
    name = f"--{option.flag or field.name.replace('_', '-')}"
    words = option.choices or option.suggested
    info = typer.Option(
        f"{name}/--no-{name[2:]}" if switch and field.default is True else name,
        help=option.help if switch or usual is None else f"{option.help}  [default: {usual}]".strip(),
        autocompletion=(lambda: list(words)) if words else None,
    )
    kind: Any = str if field.type == NUMBERS else field.type
    return keyword(field.name, default, Annotated[kind if default is not None else kind | None, info])


def _numbers(field: Field, given: str | None) -> tuple[int, ...] | None:
    """Whole numbers between commas: "10,20" -> (10, 20). Raises SettingError for anything else."""
    try:
        return None if given is None else tuple(int(part) for part in given.split(","))
    except ValueError:
        example = written(field.default) if field.default else field.option.suggested[0]
        name = field.name.replace("_", "-")
        raise SettingError(f"--{name} '{given}' is not whole numbers with commas; write {example}") from None
