"""The frame of a page that foldnet writes: one file, which asks nothing of any network and runs no script but its own.

Its policy names the digests of its style and its script, so that nothing else in it is applied, run or loaded.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from foldnet.show.html import Content, Markup, element, joined, legal

SHADES = 20  # of a similarity from 0, black, to 1, white, as in the paper's Figure 2


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page, with the name that links use."""

    name: str
    title: str
    content: Content


def document(title: str, lead: Content, sections: Iterable[Section], data: Any) -> str:
    """The whole page; `data` is what its script reads, as plain data."""
    style, script = style_of_pages(), (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    shown = [section for section in sections if section.content is not None]
    head = (
        element("meta", charset="utf-8"),
        # `http-equiv` and its content; what stands before it in a page is not held to it.
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("meta", name_="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", Markup(style)),
    )
    links = (element("li", element("a", section.title, href=f"#{section.name}")) for section in shown)
    body = (
        element("a", "Skip to the content", class_="skip", href="#content"),
        element("header", element("h1", title), lead),
        element("nav", element("ul", links), aria_label="Parts of this page"),
        element("main", map(_section, shown), id="content"),
        element("script", Markup(json_in_html(_legal_in(data))), type="application/json", id="data"),
        element("script", Markup(script)),
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def json_in_html(data: Any) -> str:
    """JSON in which nothing can end the element around it, or begin another."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _legal_in(data: Any) -> Any:
    """Plain data, whose texts are as the page has them: the script finds elements by them."""
    if isinstance(data, dict):
        return {legal(key): _legal_in(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [*map(_legal_in, data)]
    return legal(data) if isinstance(data, str) else data


def style_of_pages() -> str:
    """The page's style sheet, with a rule for each shade, whose letters are black or white, whichever is plainer on it,
    and for each colour of graphs: f fills a shape, l is its line, a both, t letters."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    rules = []
    for shade in range(SHADES + 1):
        grey = round(255 * shade / SHADES)
        # Of black and white letters the better one always has a contrast of 4.5, and from this grey on it is black.
        rules.append(f".s{shade}{{background:#{3 * f'{grey:02x}'};color:{'#000' if grey > 117 else '#fff'}}}")
    for kind, color in sorted(set(re.findall(r"--([ct])-([0-9a-f]{6}):", style))):
        drawn = f"var(--{kind}-{color})"
        if kind == "t":
            rules.append(f"symbol .t{color}{{fill:{drawn}}}")
        else:
            rules.append(f".f{color},.a{color}{{fill:{drawn}}}.l{color},.a{color}{{stroke:{drawn}}}")
    return f"{style}{''.join(rules)}\n"


def shade_of(value: float) -> int:
    """The number of a similarity's shade."""
    return round(SHADES * min(max(value, 0.0), 1.0))


def copied(text: str, what: str = "Copy") -> Markup:
    """A command, and a button that copies it; without script there is only the command."""
    button = element("button", what, type="button", class_="copy", hidden=True)
    return element("span", element("code", text), " ", button, class_="command")


def figure(picture: Content, caption: Content) -> Markup:
    """A picture with what it shows."""
    return element("figure", picture, element("figcaption", caption))


def folded_away(summary: str, *content: Content) -> Markup:
    """What a reader opens to see."""
    return element("details", element("summary", summary), joined(*content))


def _section(section: Section) -> Markup:
    """One part."""
    title = element("h2", section.title, id=f"{section.name}-title")
    return element("section", title, section.content, id=section.name, aria_labelledby=f"{section.name}-title")


def _digest(text: str) -> str:
    """As a policy names what it allows."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
