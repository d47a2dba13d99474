"""What the library says in Python, said in options: `max_drop=0.5` is --max-drop 0.5, `foldnet.fold('x')` is `foldnet
fold x`.

The library puts code between backticks. Other code, names that are no option, and what stands between quotes (paths,
names out of files) stay as they are. Only a quoted text that itself holds a quote and, behind it, such code would be
mistaken for ours.
"""

import ast
import functools
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.main import get_command

CODE = r"`(?P<code>(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^`'\"])+)`"
QUOTED = r"(?<!\w)'.*?'(?!\w)|(?<!\w)\".*?\"(?!\w)"  # an apostrophe, as in "the run's", opens no quotation
# Where a setting and its option have different names; `shares=False` and --no-shares are found without.
OTHER_NAMES = {"thresholds": "threshold", "recalibrated": "recalibrate", "evaluated": "evaluate", "out": "output"}
VERBS = {"draw": ("render graph", ""), "sweep": ("fold", " --sweep")}  # Python's, where they are no commands


@dataclass(frozen=True, slots=True)
class Option:
    """How an option is written, where it is switched off, and whether it is a switch, which some count."""

    on: str | None
    off: str | None = None
    switch: bool = False


def spoken(text: str) -> str:
    """A sentence of the library as one of the command line."""

    def said(match: re.Match[str]) -> str:
        code = match["code"]
        return match[0] if code is None else _setting(code) or _call(code) or match[0]

    return re.sub(f"{CODE}|{QUOTED}", said, text, flags=re.DOTALL)


def spoken_notes(plain: Any, *, said: bool = False) -> Any:
    """A report as plain data, whose notes, problems and reasons speak as the command line does."""
    if isinstance(plain, Mapping):
        return {key: spoken_notes(value, said=key in ("notes", "problem", "why")) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [spoken_notes(value, said=said) for value in plain]
    return spoken(plain) if said and isinstance(plain, str) else plain


def options_of(command: Any) -> dict[str, Option]:
    """The options of one command, by the names of the settings that they set."""
    found = {}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            off = parameter.secondary_opts[0] if parameter.secondary_opts else None
            long = next(name for name in parameter.opts if name.startswith("--"))
            found[parameter.name] = Option(long, off, parameter.is_flag or parameter.count)
    return found


def commands() -> dict[str, Any]:
    """Every command of the program, by its words."""
    from foldnet_cli.main import app

    return _commands_of(app)


@functools.cache
def _commands_of(app: typer.Typer) -> dict[str, Any]:
    """The same of one program."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(words), command
        for name, below in (inner or {}).items():
            yield from walk(below, (*words, name))

    return dict(walk(get_command(app), ()))


def _setting(code: str) -> str | None:
    """`name` or `name=value` as an option, of the first command that has it: a switch where the value says so. None
    where it is neither."""
    match = re.fullmatch(r"(\w+)(?:=(.+))?", code, flags=re.DOTALL)
    if match is None:
        return None
    options = filter(None, [_find(match[1], options_of(command)) for command in commands().values()])
    first = sorted(options, key=lambda option: match[2] in ("True", "False") and not option.switch)[:1]
    return _written(first[0], match[2]) if first else None


def _find(name: str, options: Mapping[str, Option]) -> Option | None:
    """The option of a setting, maybe one that only switches it off."""
    for known in (name, OTHER_NAMES.get(name, name)):
        if known in options:
            return options[known]
        if f"no_{known}" in options:
            return Option(None, options[f"no_{known}"].on, switch=True)
    return None


def _written(option: Option, value: str | None) -> str | None:
    """An option with its value, as a shell takes it. None where the command line cannot say it."""
    if option.switch and value in ("True", "False"):
        return option.on if value == "True" else option.off
    if option.switch and option.on and value is not None and value.isdecimal():
        return " ".join([option.on] * int(value[:1]))
    written = option.on or option.off
    return written if value is None or written is None else f"{written} {_value(value)}"


def _value(text: str) -> str:
    """A value as it is typed: "'a b'" stays quoted, "(5, 9)" is 5,9, "{'loop1': 4}" is loop1=4, a number stays as it
    was written."""
    if text[0] not in "'\"([{":
        return text
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    if isinstance(value, dict):
        value = [f"{key}={number}" for key, number in value.items()]
    return shlex.quote(value if isinstance(value, str) else ",".join(map(str, value)))


def _call(code: str) -> str | None:
    """`foldnet.verb('x', name=value)` or `help(foldnet.verb)` as a command. None where it is neither."""
    try:
        tree = ast.parse(code.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    positional: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    match tree:
        case ast.Call(ast.Name("help"), [ast.Attribute(ast.Name("foldnet"), verb)], []):
            end = " --help"
        case ast.Call(ast.Attribute(ast.Name("foldnet"), verb), positional, keywords):
            end = ""
        case _:
            return None
    words, more = VERBS.get(verb, (verb, ""))
    command = commands().get(words)
    if command is None:
        return None
    parts = [_value(ast.unparse(argument)) for argument in positional]
    for keyword in keywords:
        option = _find(str(keyword.arg), options_of(command))
        written = None if option is None else _written(option, ast.unparse(keyword.value))
        if written is None:
            return None
        parts.append(written)
    return "`" + " ".join(["foldnet", words, *parts]) + more + end + "`"
