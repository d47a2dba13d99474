"""The site: it builds without a warning, asks nothing of any network, and every link in it leads somewhere."""

import functools
import json
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import browsing
from playwright.sync_api import expect

import foldnet

TOP = Path(__file__).parents[1]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_):
        pass


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


def shows_code(page):
    """Whether a page shows a file that stands outside docs/."""
    folder = next(above for above in page.parents if (above / "404.html").exists())
    return (TOP / page.relative_to(folder).with_suffix("")).is_file()


def test_every_page_is_there_and_every_link_leads_somewhere(site):
    names = {path.stem for path in site if not shows_code(path)}
    assert {path.stem for path in (TOP / "docs").glob("*.md")} | {"index", "changelog", "contributing"} == names
    for page, found in site.items():
        for link in found.links + found.loaded:
            if link.startswith(("https:", "data:")):
                continue
            path, _, place = link.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), (page.name, link)
            assert not place or file not in site or place in site[file].places, (page.name, link)


def test_files_that_pages_link_to_are_shown_and_not_saved(site):
    """Servers give .py and .toml types that browsers save; each of those is a page, which a search does not find."""
    files = {link.partition("#")[0] for found in site.values() for link in found.links if not link.startswith("https:")}
    assert {Path(file).suffix for file in files} - {""} == {".html", ".json", ".png", ".svg"}
    (page,) = [page for page in site if page.name == "loop.py.html"]
    assert "def fit(" in re.sub("<[^>]*>", "", page.read_text(encoding="utf-8"))
    index = json.loads((page.parents[2] / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert {doc["location"].partition("#")[0] for doc in index["docs"]} == {
        one.name for one in site if not shows_code(one)
    }


def test_options_in_inline_code_are_not_broken_and_pictures_open(site):
    (page,) = [page for page in site if page.name == "figure-3.html"]
    text = page.read_text(encoding="utf-8")
    assert '<code><span class="word">--published</span></code>' in text
    assert re.search(r'<a href="(\S+figure3-small\.svg)"><img [^>]*src="\1"', text)


def test_nothing_is_loaded_from_elsewhere(site):
    assert [
        (page.name, one) for page, found in site.items() for one in found.loaded if re.match("(https?:)?//", one)
    ] == []


def test_the_reference_has_every_public_name(site):
    (reference,) = [found for page, found in site.items() if page.name == "reference.html"]
    names = {name for name in foldnet.__all__ if not name.startswith("_")}
    assert [name for name in sorted(names) if not any(place.endswith(f".{name}") for place in reference.places)] == []


def test_an_option_is_found_by_its_name_with_its_dashes(site):
    """In a real browser, from a server on the loopback, since a search needs one."""
    folder = next(page for page in site if page.name == "index.html").parent
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, browsing() as browser:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.locator(".md-search__input").click()
        page.locator(".md-search__input").press_sequentially("--max-drop")
        expect(page.locator(".md-search-result__item h1", has_text="Choosing a threshold")).to_be_attached(
            timeout=60_000
        )
        server.shutdown()
