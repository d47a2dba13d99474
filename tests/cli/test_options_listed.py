"""Every option of every command stands in options.txt beside this file, so that none comes or goes unnoticed.

After a change that is meant: `python tests/cli/test_options_listed.py` writes it anew.
"""

from pathlib import Path
from typing import Any

import typer

FILE = Path(__file__).with_name("options.txt")


def listed() -> str:
    """A line for each option and argument: the command, its names, its default."""
    from foldnet_cli.main import app

    lines: list[str] = []

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for parameter in command.params:
            names = ", ".join([*parameter.opts, *parameter.secondary_opts])
            many = "..." if getattr(parameter, "multiple", False) or parameter.nargs != 1 else ""
            default = "" if parameter.default is None or parameter.default is False else f" = {parameter.default}"
            lines.append(f"{' '.join(path)}: {names}{many}{default}")
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, (*path, name))

    walk(typer.main.get_command(app), ("foldnet",))
    return "".join(f"{line}\n" for line in lines)


def test_no_option_comes_or_goes_unnoticed():
    assert listed() == FILE.read_text(encoding="utf-8")


if __name__ == "__main__":
    FILE.write_text(listed(), encoding="utf-8")
