"""What mkdocs is told beyond mkdocs.yml: README.md is the first page, and files outside docs/ that pages link to go with the site."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

TOP = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# Files that browsers would save in place of showing them: each becomes a page.
SHOWN = {".py": "python", ".toml": "toml", "": "text"}
INLINE_CODE = re.compile(r"(?<!</span>)<code>([^<]*)</code>")
WORD = re.compile(r"(?<!\S)\S{1,40}(?!\S)")  # longer ones are wider than a telephone
WHOLE = r'<span class="word">\g<0></span>'
IMAGE = re.compile(r'<img [^>]*src="([^"]+)"[^>]*>')


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand at the top, and each file outside docs/ that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(TOP / name).read_text(encoding="utf-8")))
    linked = {path for page in files.documentation_pages() for path in _linked(page)}
    for path in sorted(linked):
        file = TOP / path
        if not file.is_file() or path in PAGES or path.startswith("docs/"):
            continue
        if file.suffix in SHOWN:
            shown = File.generated(config, _name(path), content=_shown(file), inclusion=InclusionLevel.NOT_IN_NAV)
            files.append(shown)
        else:
            files.append(File.generated(config, path, content=file.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where files stand in the site."""
    if _is_shown(page.file):
        return markdown
    home = _home(page.file)
    return LINK.sub(lambda found: _in_site(home, found[1]), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Keep the words of inline code whole, since lines would break behind the hyphens of options; let pictures open at full size."""
    html = INLINE_CODE.sub(lambda found: f"<code>{WORD.sub(WHOLE, found[1])}</code>", html)
    return IMAGE.sub(lambda found: f'<a href="{found[1]}">{found[0]}</a>', html)


def _shown(file: Path) -> str:
    """A page that shows a file of code."""
    told = f"---\ntitle: {file.name}\nsearch: {{exclude: true}}\nhide: [toc]\n---\n\n# {file.relative_to(TOP).as_posix()}\n\n"
    return f"{told}````{SHOWN[file.suffix]}\n{file.read_text(encoding='utf-8')}````\n"


def _is_shown(page: File) -> bool:
    """Whether a page shows a file of code."""
    return (TOP / page.src_uri.removesuffix(".md")).is_file()


def _name(path: str) -> str:
    """What a file outside docs/ is called in the site."""
    return f"{path}.md" if Path(path).suffix in SHOWN else path


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
    return PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else _name(path))
