"""A part of foldnet imports only those listed before it, here, in README's tree and in CONTRIBUTING's table: so each can
be read, and used, without those after it."""

import ast
import re
import tomllib
from pathlib import Path

import foldnet

ROOT = Path(foldnet.__file__).parent
FLOORS = (  # each may use all before it, and its own
    {"errors", "bounds", "hardware", "options"},
    {"store"},
    {"sharing"},
    {"analysis"},
    {"zoo"},
    {"data"},
    {"training"},
    {"show"},
    {"program"},
    {"folding"},
    {"exporting"},
    {"converting"},
    {"choosing"},
    {"proof"},
    {"benching"},
    {"drawing"},
    {"studies"},
    {"verbs"},
    {"__init__"},  # names the public ones
)
NO_TORCH = ("store", "program", "drawing")
TENSORS = ("store/tensors.py", "store/seals.py")  # which read and write them


def imported(file: Path) -> set[str]:
    """The modules that a file imports, those inside functions too."""
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    found: set[str] = set()
    for node in tree:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                f"{node.module}.{alias.name}" if node.module == "foldnet" else node.module for alias in node.names
            }
    return found


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).with_suffix("").parts[0]


def test_every_part_has_a_floor():
    parts = {part_of(file) for file in ROOT.rglob("*.py")}
    assert parts == set().union(*FLOORS)


def test_every_package_is_installed():
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    there = {".".join(("foldnet", *file.parent.relative_to(ROOT).parts)) for file in ROOT.rglob("__init__.py")}
    assert set(settings["tool"]["setuptools"]["packages"]) == there | {"foldnet_cli"}


def test_pages_list_the_parts_in_this_order():
    table = (ROOT.resolve().parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [set(re.findall(r"`(\w+)/?`", row)) for row in re.findall(r"^\| (`.*?) \|", table, flags=re.M)]
    assert rows == [*FLOORS[:-1], {"cli"}]
    tree = (ROOT.resolve().parent / "README.md").read_text(encoding="utf-8").split("## The code")[1].split("```")[1]
    parts = re.findall(r"^  (\w+)(?:/|\.py) ", tree, flags=re.M)
    floors = [number for part in parts for number, floor in enumerate(FLOORS) if part in floor]
    assert floors == sorted(floors)
    assert set(range(len(FLOORS) - 1)) == set(floors)


def test_parts_import_only_those_before_them():
    floor = {part: number for number, parts in enumerate(FLOORS) for part in parts}
    upwards = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in ROOT.rglob("*.py")
        for module in imported(file)
        if module.startswith("foldnet.")
        and (part := module.split(".")[1]) != part_of(file)
        and floor[part] > floor[part_of(file)]
    ]
    assert upwards == []


def test_data_and_pictures_know_no_torch():
    knowing = [
        str(file.relative_to(ROOT))
        for part in NO_TORCH
        for file in (ROOT / part).rglob("*.py")
        if any(module.split(".")[0] == "torch" for module in imported(file))
    ]
    assert sorted(knowing) == sorted(TENSORS)


def test_the_library_knows_nothing_of_its_command_line():
    for file in ROOT.rglob("*.py"):
        assert not any(module.split(".")[0] in ("foldnet_cli", "typer", "argparse") for module in imported(file)), file
