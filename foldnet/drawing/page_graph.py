"""Graphs that Graphviz drew, as a page holds them: only the shapes that it needs, in the page's colours."""

import re
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, fromstring

from foldnet.errors import MissingTool, OutputError
from foldnet.show.html import Markup, element, joined

if TYPE_CHECKING:
    import graphviz

SHAPES = {  # what of each shape is kept
    "g": ("transform",),
    "path": ("d", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "polygon": ("points", "fill", "stroke", "stroke-width"),
    "polyline": ("points", "fill", "stroke", "stroke-width"),
    "ellipse": ("cx", "cy", "rx", "ry", "fill", "stroke", "stroke-width"),
    "text": ("x", "y", "text-anchor", "font-size", "font-weight", "fill"),
}
COLOR = re.compile(r"#[0-9a-f]{6}")


def graph_of_page(digraph: "graphviz.Digraph", name: str) -> Markup:
    """A symbol of that name, which a page may show as often as it likes. Raises MissingTool where dot is not
    installed, OutputError where it fails."""
    import graphviz

    try:
        drawn = digraph.pipe(format="svg", quiet=True)
    except graphviz.ExecutableNotFound:
        raise MissingTool(
            "Graphviz's program dot is not installed; install it (apt install graphviz, brew install graphviz)"
        ) from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or b"").decode(errors="replace").strip().partition("\n")[0]
        raise OutputError(
            f"dot could not draw a graph of the page ({reason or f'exit status {error.returncode}'})"
        ) from None
    return symbol_of(drawn, name)


def symbol_of(svg: bytes, name: str) -> Markup:
    """What is kept of an SVG file: shapes, rounded to a tenth of a point, and texts; names, links and all else go."""
    root = fromstring(svg)
    box = " ".join(f"{float(number):.0f}" for number in root.attrib["viewBox"].split())
    return element("symbol", _kept(root), id=name, viewBox=box)


def size_of(symbol: str) -> tuple[int, int]:
    """Width and height of a symbol's picture, in points."""
    found = re.search(r'viewBox="\S+ \S+ (\d+) (\d+)"', symbol)
    assert found is not None
    return int(found[1]), int(found[2])


def _kept(parent: Element) -> Iterator[Markup]:
    """The children of an element that a page keeps."""
    for child in parent:
        name = str(child.tag).rpartition("}")[2]
        if name not in SHAPES:
            continue
        inner = joined(*_kept(child)) if name == "g" else child.text if name == "text" else None
        if (name == "g" and not inner) or _invisible(child):
            continue
        attributes: dict[str, Any] = {}
        for key in SHAPES[name]:
            if key in child.attrib and child.attrib[key] != "transparent":
                attributes[key.replace("-", "_")] = _short(key, child.attrib[key], letters=name == "text")
        yield element(name, inner, **attributes) if attributes or name != "g" else joined(inner)


def _invisible(shape: Element) -> bool:
    """Whether it is the background, or a line that only keeps places apart."""
    return {shape.attrib.get("stroke"), shape.attrib.get("fill")} in ({"transparent", "white"}, {"transparent", "none"})


def _short(name: str, value: str, *, letters: bool) -> str:
    """An attribute with numbers of one decimal and colours by the page's names, which differ for letters and
    shapes."""
    if name in ("fill", "stroke"):
        value = {"black": "#000000", "white": "#ffffff"}.get(value, value)
        return f"var(--{'t' if letters else 'c'}-{value[1:]})" if COLOR.fullmatch(value) else value
    if name in ("font-weight", "text-anchor"):
        return value
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), value)
