"""What mkdocs is told beyond mkdocs.yml: README.md is the first page, and files outside docs/ that pages link to go with the site."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

TOP = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand at the top, and each file outside docs/ that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(TOP / name).read_text(encoding="utf-8")))
    linked = {path for page in files.documentation_pages() for path in _linked(page)}
    for path in sorted(linked):
        if (TOP / path).is_file() and path not in PAGES and not path.startswith("docs/"):
            files.append(File.generated(config, path, content=(TOP / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where files stand in the site."""
    home = _home(page.file)
    return LINK.sub(lambda found: _in_site(home, found[1]), markdown)


def _linked(page: File) -> list[str]:
    """The files that a page links to, from the top."""
    return [_from_top(_home(page), target) for target in LINK.findall(page.content_string)]


def _home(page: File) -> str:
    """The folder, from the top, that the links of a page start from."""
    return "" if page.src_uri in PAGES.values() else "docs"


def _from_top(home: str, target: str) -> str:
    """A link's file, from the top."""
    return (TOP / home / target).resolve().relative_to(TOP).as_posix()


def _in_site(home: str, target: str) -> str:
    """Where a link's file stands in the site; folders of files have a page of their own."""
    path = _from_top(home, target)
    if (TOP / path).is_dir():
        return f"{Path(path).name}.md"
    return PAGES.get(path, path.removeprefix("docs/"))
