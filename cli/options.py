"""Options as parameters: those that more than one command takes, each written once, and those that are fields of
settings. A command says by `takes` which it has."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from foldnet.errors import SettingError
from foldnet.options import Field, fields_of, written

Function = TypeVar("Function", bound=Callable[..., Any])
NUMBERS = tuple[int, ...]


def keyword(name: str, kind: Any, default: Any = None, /, *declared: str, **info: Any) -> inspect.Parameter:
    """An option of a type, which may be left out; the rest is Typer's."""
    annotation: Any = Annotated[kind if default is not None else kind | None, typer.Option(*declared, **info)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def switch(name: str, help: str) -> inspect.Parameter:
    """An option that takes no value and is off where it is left out."""
    return keyword(name, bool, False, f"--{name.replace('_', '-')}", help=help)


def argument(name: str, metavar: str, help: str, kind: Any = Path) -> inspect.Parameter:
    """What a command is about; None where it is left out."""
    annotation: Any = Annotated[kind | None, typer.Argument(metavar=metavar, help=help, show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def out_file(help: str) -> inspect.Parameter:
    """The file to write."""
    return keyword("output", Path, None, "-o", "--out", "--output", help=help)


FORCE = switch("force", "Replace what exists.")
TWICE = "Replace the run or fold that is there; twice: with folds and notes inside it."
FORCE_TWICE = keyword("force", int, 0, "--force", count=True, metavar="<bool>", show_default=False, help=TWICE)
AGAINST = "Line of the table that the others are compared to, seed by seed."
CHECKPOINT = "Which weights of the run: last or best (by validation)."
DATA_DIR = "Where the dataset lies, for cifar10, cifar100, folder and text; no run keeps it."
METRIC = "coefficients or weights.  [default: coefficients; for a plain network weights]"
RUN_OF_FOLD = "The run of a fold that does not lie inside it."
SHARED = {  # what a field of one of these names is, too, that has no help of its own
    "checkpoint": keyword("checkpoint", str, "last", help=CHECKPOINT),
    "compile": keyword("compile", str, "auto", help="auto, on or off: torch.compile (auto: on a GPU)."),
    "data_dir": keyword("data_dir", Path, help=DATA_DIR),
    "device": keyword("device", str, "auto", help="auto, cpu, cuda or cuda:N."),
    "metric": keyword("metric", str, help=METRIC),
    "precision": keyword("precision", str, "auto", help="auto, fp32 or bf16 (auto: bf16 where the hardware has it)."),
    "run": keyword("run", Path, None, "--run", metavar="RUN", help=RUN_OF_FOLD, show_default=False),
}


def shared(*names: str, **defaults: Any) -> list[inspect.Parameter]:
    """Some of SHARED, those behind with defaults of their own."""
    return [SHARED[name] for name in names] + [SHARED[name].replace(default=defaults[name]) for name in defaults]


def takes(*parameters: inspect.Parameter | Callable[[], Iterable[inspect.Parameter]]) -> Callable[[Function], Function]:
    """Say what a command takes, all of it by keyword. A function is asked when the command line is made: for what is
    registered by then."""

    def said(function: Function) -> Function:
        function.__dict__["takes"] = parameters
        return function

    return said


def taken_by(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a command takes, as it was said, else as its signature says."""
    said = getattr(function, "takes", inspect.signature(function).parameters.values())
    return [one for each in said for one in (each() if callable(each) else (each,))]


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
                (found[name],) = shared(**{name: field.default})
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


def _parameter(field: Field, usual: str | None) -> inspect.Parameter:
    """One field as a keyword."""
    option, on_or_off = field.option, field.type is bool
    default = field.default if usual is None and (on_or_off or not field.optional) else None
    name, words = f"--{option.flag or field.name.replace('_', '-')}", option.choices or option.suggested
    return keyword(
        field.name,
        str if field.type == NUMBERS else field.type,
        written(default) if isinstance(default, tuple) else default,
        f"{name}/--no-{name[2:]}" if on_or_off and field.default is True else name,
        help=option.help if on_or_off or usual is None else f"{option.help}  [default: {usual}]".strip(),
        autocompletion=(lambda: list(words)) if words else None,
    )


def _numbers(field: Field, given: str | None) -> tuple[int, ...] | None:
    """Whole numbers between commas: "10,20" -> (10, 20). Raises SettingError for anything else."""
    try:
        return None if given is None else tuple(int(part) for part in given.split(","))
    except ValueError:
        example = written(field.default) if field.default else field.option.suggested[0]
        name = field.name.replace("_", "-")
        raise SettingError(f"--{name} '{given}' is not whole numbers with commas; write {example}") from None


def named_numbers(
    given: Iterable[str], number: Callable[[str], float], wrong: str, *, named: bool = False, words: Iterable[str] = ()
) -> Iterator[tuple[str | None, Any]]:
    """Entries NAME=NUMBER, between commas or given one by one, as names and numbers. Where they need not be `named`, an
    entry may be a number alone, or one of `words`, and its name is None.

    Raises SettingError, which says `wrong` of an entry, for anything else.
    """
    for entry in (part.strip() for text in given for part in text.split(",")):
        name, equals, text = entry.rpartition("=")
        try:
            if named and not name:
                raise ValueError
            yield (name if equals else None), entry if entry in words else number(text)
        except ValueError:
            raise SettingError(wrong.format(entry)) from None
