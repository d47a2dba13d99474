"""Write README.md and docs/*.md from docs/templates/ and the numbers in examples/benchmarks/.

    python docs/write.py            # also: make docs
    python docs/write.py --check    # says what would change, and writes nothing

No number that was measured is typed: templates read it from the JSON that names its command, versions and machine.
"""

import argparse
import sys
from pathlib import Path

import readings
from jinja2 import Environment, FileSystemLoader, StrictUndefined

DOCS = Path(__file__).parent
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
    public = {name: value for name, value in vars(readings).items() if callable(value) and not name.startswith("_")}
    environment.filters |= public
    environment.globals |= public | {"sum": sum, "min": min, "max": max, "zip": zip, "round": round, "len": len}
    return {
        (DOCS.parent if name == "README.md" else DOCS) / name: NOTE.format(name=name)
        + environment.get_template(name).render()
        for name in sorted(path.name for path in (DOCS / "templates").glob("*.md"))
    }


def main() -> int:
    """Write what changed, or name it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 where something would change"
    )
    check = parser.parse_args().check
    changed = [
        (file, text) for file, text in pages().items() if not file.is_file() or file.read_text(encoding="utf-8") != text
    ]
    for file, text in changed:
        print(file.relative_to(DOCS.parent), file=sys.stderr)
        if not check:
            file.write_text(text, encoding="utf-8")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
