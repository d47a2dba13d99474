"""Write README.md and docs/*.md from docs/templates/ and the numbers in examples/benchmarks/, and the pictures of studies.

    python docs/write.py            # also: make docs
    python docs/write.py --check    # says what would change, and writes nothing

No number that was measured is typed: templates read it from the JSON that names its command, versions and machine.
A picture says in its last line of what results it was drawn; other versions of matplotlib draw the same a little differently.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import export_readings
import frontier_readings
import longer_readings
import network_readings
import readings
import site_readings
import study_readings
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from foldnet.verbs.render import render

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "examples"))
import longer  # noqa: E402

PICTURES = DOCS.parent / "examples" / "pictures"
NOTE = "<!-- Written by docs/write.py from docs/templates/{name}: change that one. -->\n\n"


def pages() -> dict[Path, str]:
    """By file, what should stand in it. README.md stands at the top, the rest in docs/."""
    environment = Environment(
        loader=FileSystemLoader(DOCS / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    modules = (
        readings,
        study_readings,
        frontier_readings,
        longer_readings,
        network_readings,
        export_readings,
        site_readings,
    )
    found = {name: value for module in modules for name, value in vars(module).items()}
    public = {name: value for name, value in found.items() if callable(value) and not name.startswith("_")}
    environment.filters |= public
    environment.globals |= public | {"sum": sum, "min": min, "max": max, "zip": zip, "round": round, "len": len}
    return {
        (DOCS.parent if name == "README.md" else DOCS) / name: NOTE.format(name=name)
        + environment.get_template(name).render()
        for name in sorted(path.name for path in (DOCS / "templates").glob("*.md"))
    }


@dataclass(frozen=True)
class Picture:
    """A picture of results: its file, what `foldnet render` calls it, or `longer` for what examples/longer.py draws, and its
    options."""

    file: Path
    kind: str
    results: Path
    options: dict[str, Any]

    @property
    def note(self) -> str:
        """The line that says of what it was drawn."""
        drawn = hashlib.sha256(self.results.read_bytes()).hexdigest()
        return f"<!-- {self.kind} of {self.results.name} {self.options}, {drawn} -->\n"

    def stands(self) -> bool:
        """Whether it is there, of these results."""
        return self.file.is_file() and self.file.read_text(encoding="utf-8").endswith(self.note)

    def write(self) -> None:
        """Draw it."""
        with TemporaryDirectory() as folder:
            drawn = Path(folder) / "drawn.svg"
            if self.kind == "longer":
                longer.draw(longer_readings.entry(self.results.stem, **self.options), drawn)
            else:
                render(self.kind, self.results, drawn, **self.options)
            self.file.write_text(drawn.read_text(encoding="utf-8") + self.note, encoding="utf-8")


def pictures() -> Iterator[Picture]:
    """The pictures of what was measured."""
    drawn = {
        "prefix-sums-longer": {"arch": "scnn1d-20-32-20-recall", "seed": 0},
        "mazes-longer": {"arch": "scnn-20-32-20-recall", "seed": 0, "finetuned": 2},
    }
    for name, wanted in drawn.items():
        if readings.measured(name) and longer_readings.has(name, **wanted):
            yield Picture(PICTURES / f"{name}.svg", "longer", readings.FILES / f"{name}.json", wanted)
    yield Picture(PICTURES / "figure3-small.svg", "efficiency", readings.FILES / "figure3-small.json", {})
    if readings.measured("figure7"):
        yield Picture(PICTURES / "figure7-seeds.svg", "seeds", readings.FILES / "figure7.json", {})
    digits = readings.FILES / "digits-study.json"
    yield Picture(PICTURES / "digits-study-efficiency.svg", "efficiency", digits, {})
    yield Picture(PICTURES / "digits-study-seeds.svg", "seeds", digits, {"arch": "swrn-28-1-4"})


def main() -> int:
    """Write what changed, or name it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 where something would change"
    )
    check = parser.parse_args().check
    old = [picture for picture in pictures() if not picture.stands()]
    changed = [
        (file, text) for file, text in pages().items() if not file.is_file() or file.read_text(encoding="utf-8") != text
    ]
    for file, text in changed:
        print(file.relative_to(DOCS.parent), file=sys.stderr)
        if not check:
            file.write_text(text, encoding="utf-8")
    for picture in old:
        print(picture.file.relative_to(DOCS.parent), file=sys.stderr)
        if not check:
            picture.write()
    return int(check and bool(changed or old))


if __name__ == "__main__":
    sys.exit(main())
