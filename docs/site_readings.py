"""What the site lists: public names, benchmarks, examples, and levels of chance."""

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

from longer_readings import machines_longer
from readings import FILES, read
from study_readings import machines_of

import foldnet

EXAMPLES = FILES.parent
TITLES = {True: "Functions", False: "What they return and take"}


def public_names() -> dict[str, list[str]]:
    """The public names of foldnet, functions first, each part in the order of the alphabet."""
    names = sorted((name for name in foldnet.__all__ if not name.startswith("_")), key=str.lower)
    return {
        title: [one for one in names if inspect.isclass(getattr(foldnet, one)) != first]
        for first, title in TITLES.items()
    }


def benchmarks() -> list[tuple[str, str, str]]:
    """(name, command, machine) of each file of benchmarks/."""
    found = []
    for name in sorted(path.stem for path in FILES.glob("*.json")):
        content = read(name)
        command = _command(name, content)
        found.append((name, command.replace("|", "\\|"), _machines(name, content)))
    return found


def examples() -> list[tuple[str, str]]:
    """(name, what it does) of each file of examples/."""
    return [(path.name, _about(path)) for path in sorted(EXAMPLES.glob("*.*")) if path.suffix in (".py", ".toml")]


@cache
def chance_of(layers: int, templates: int) -> Any:
    """What an untrained group shows."""
    return foldnet.chance(layers, templates)


def _command(name: str, content: Any) -> str:
    """The command of a file: its own, that of a study, or of a file of folds that were run longer the one with all of them."""
    if "command" in content:
        return str(content["command"])
    if isinstance(content["results"], list):
        return f"foldnet study run examples/{name}.toml"
    return f"python examples/longer.py FOLD ... --json examples/benchmarks/{name}.json"


def _machines(name: str, content: Any) -> str:
    """The machines of a file: its own, those of a study's trials, or those of its parts."""
    if "machine" in content:
        return _machine(content["machine"])
    if "results" in content:
        return machines_of(name) if isinstance(content["results"], list) else machines_longer(name)
    return "; ".join(dict.fromkeys(_machine(part["machine"]) for part in content["result"].values()))


def _machine(found: Any) -> str:
    """The machine of a measurement, as far as all of them tell."""
    if isinstance(found, str):
        return found
    return f"{found.get('processor', 'a CPU')}, torch {found['torch'].split('+')[0]}"


def _about(path: Path) -> str:
    """The first sentence of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        told = ast.get_docstring(ast.parse(text)) or ""
        return told.split("\n\n")[0].replace("\n", " ")
    lines = [line.removeprefix("#").strip() for line in text.split("\n\n")[0].splitlines()]
    return " ".join(lines).partition(" Run it")[0].rstrip(":")
