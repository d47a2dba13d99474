"""Options that more than one command takes, each written once."""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.options import Field, fields_of

RunArgument = Annotated[
    Path | None,
    typer.Argument(metavar="RUN", help="Run folder; left out, the newest under --home.", show_default=False),
]
FoldArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLD",
        help="Fold folder, or a run for its newest fold; left out, the newest run's.",
        show_default=False,
    ),
]
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
Threads = Annotated[int | None, typer.Option(min=1, max=1024, metavar="<int>", help="CPU threads.  [default: torch's]")]
Metric = Annotated[
    str | None,
    typer.Option(help="coefficients or weights.  [default: coefficients; for a plain network weights]"),
]


NUMBERS = tuple[int, ...]


def parameters_of(
    settings: type, *, usual: Callable[[str], str] | None = None, leave: Iterable[str] = ()
) -> dict[str, inspect.Parameter]:
    """A parameter for each field that has a place on the command line, by name; None where it was not given.

    `usual` gives the default of a field in words, which differs from dataset to dataset; without it the field's own is
    used.
    """
    found = {}
    for name, field in fields_of(settings).items():
        if field.option.flag is not None and name not in leave:
            found[name] = _parameter(field, usual(name) if usual is not None else None)
    return found


def with_parameters(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> Callable[..., Any]:
    """`function`, which takes keywords, with a signature that Typer reads: its own parameters, and in place of `**`
    these."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    own = [entry for entry in signature.parameters.values() if entry.kind is not entry.VAR_KEYWORD]
    first = [entry for entry in own if entry.kind is not entry.KEYWORD_ONLY]
    last = [entry for entry in own if entry.kind is entry.KEYWORD_ONLY]
    command.__signature__ = signature.replace(parameters=[*first, *parameters, *last])  # type: ignore[attr-defined]
    return command


def _parameter(field: Field, usual: str | None) -> inspect.Parameter:
    """One field as a keyword."""
    option = field.option
    kind: Any = str if field.type == NUMBERS else field.type
    default = field.default if usual is None and not field.optional and kind is not bool else None
    said = option.help if usual is None else f"{option.help}  [default: {usual}]".strip()
    name = f"--{option.flag or field.name.replace('_', '-')}"
    words = option.choices or option.suggested
    info = typer.Option(
        f"{name}/--no-{name[2:]}" if kind is bool and field.default is True else name,
        help=option.help if kind is bool else said,
        autocompletion=(lambda: list(words)) if words else None,
    )
    if kind is bool and usual is None:
        default = field.default
    plain: Any = kind if default is not None else kind | None
    annotation: Any = Annotated[plain, info]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
