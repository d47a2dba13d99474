"""The site: it builds without a warning, asks nothing of any network, and every link in it leads somewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import foldnet

TOP = Path(__file__).parents[1]


class Links(HTMLParser):
    """What a page links to and loads, and the places in it that may be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.places.add(value)
            elif name in ("href", "src") and value:
                (self.loaded if name == "src" or tag == "link" else self.links).append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", place]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # what Material for MkDocs says of its successor
    done = subprocess.run(command, cwd=TOP, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {
        path.resolve(): Links(path.read_text(encoding="utf-8"))
        for path in place.rglob("*.html")
        if path.name != "404.html"  # whose links are of a server's top
    }


def test_every_page_is_there_and_every_link_leads_somewhere(site):
    names = {path.stem for path in site}
    assert {path.stem for path in (TOP / "docs").glob("*.md")} | {"index", "changelog", "contributing"} == names
    for page, found in site.items():
        for link in found.links + found.loaded:
            if link.startswith(("https:", "data:")):
                continue
            path, _, place = link.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), (page.name, link)
            assert not place or file not in site or place in site[file].places, (page.name, link)


def test_nothing_is_loaded_from_elsewhere(site):
    assert [
        (page.name, one) for page, found in site.items() for one in found.loaded if re.match("(https?:)?//", one)
    ] == []


def test_the_reference_has_every_public_name(site):
    (reference,) = [found for page, found in site.items() if page.name == "reference.html"]
    names = {name for name in foldnet.__all__ if not name.startswith("_")}
    assert [name for name in sorted(names) if not any(place.endswith(f".{name}") for place in reference.places)] == []
