"""Graphs that Graphviz drew, as a page holds them: only the shapes that it needs, in the page's colours."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, fromstring

from foldnet.errors import MissingTool, OutputError
from foldnet.show.html import Markup, element, joined

if TYPE_CHECKING:
    import graphviz

SHAPES = {  # what of each shape is kept, besides its colours and the way of its line
    "g": ("transform",),
    "path": ("stroke-dasharray",),
    "polygon": (),
    "polyline": (),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "text": ("x", "y", "text-anchor", "font-size", "font-weight"),
}
USUAL = {"text-anchor": "start", "font-size": "12.00"}  # what the page's style says already
LETTERS = {"font-size 9.00": "n", "font-size 10.00": "m", "font-weight bold": "b"}  # and by classes
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
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
        attributes: dict[str, Any] = {
            key.replace("-", "_"): _short(key, child.attrib[key])
            for key in SHAPES[name]
            if key in child.attrib
            and child.attrib[key] != USUAL.get(key)
            and f"{key} {child.attrib[key]}" not in LETTERS
        }
        if name == "path" and child.get("fill", "none") != "none":
            name, attributes = "rect", _box(child.attrib["d"])
        elif name in ("path", "polygon", "polyline"):
            attributes = {"d": _way(name, child.get("d") or child.get("points") or "")} | attributes
            name = "path"
        attributes["class_"] = _colors(name, child.attrib)
        yield element(name, inner, **attributes) if any(attributes.values()) else joined(inner)


def _way(name: str, given: str) -> str:
    """A line as the fewest letters say it: where it begins, and every other point from the one before. A path of
    Graphviz's is all curves, which are as smooth in whole points; the heads of arrows are small and need tenths."""
    fine = 1 if name == "path" else 10
    numbers = [10 // fine * round(fine * float(number)) for number in NUMBER.findall(given)]  # tenths, which add up
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    if name == "polygon":
        points.pop()  # which is the first again
    x, y = points[0]
    said, each = _spaced((x, y)), 3 if name == "path" else 1
    moves: list[int] = []
    for at, (to_x, to_y) in enumerate(points[1:], 1):
        moves += to_x - x, to_y - y
        if at % each == 0:  # of a curve all three points are told from where it begins
            x, y = to_x, to_y
    return f"M{said}{'c' if name == 'path' else 'l'}{_spaced(moves)}{'z' if name == 'polygon' else ''}"


def _spaced(tenths: Iterable[int]) -> str:
    """Numbers one after the other; a minus parts two as a blank does."""
    return " ".join(f"{_rounded(number / 10)}" for number in tenths).replace(" -", "-")


def _box(way: str) -> dict[str, str]:
    """A box with round corners, which Graphviz draws as a path of four lines and four curves, in a third of the
    letters."""
    numbers = [float(number) for number in NUMBER.findall(way)]
    across, down = sorted({*numbers[::2]}), sorted({*numbers[1::2]})
    size = {"width": across[-1] - across[0], "height": down[-1] - down[0]}
    return {
        name: _rounded(value)
        for name, value in {"x": across[0], "y": down[0], **size, "rx": across[2] - across[0]}.items()
    }


def _invisible(shape: Element) -> bool:
    """Whether it is the background, or a line that only keeps places apart."""
    return {shape.attrib.get("stroke"), shape.attrib.get("fill")} in ({"transparent", "white"}, {"transparent", "none"})


def _colors(name: str, attributes: dict[str, str]) -> str | None:
    """The class of a shape's colours: f and the one that fills it, l and the one of its line; a text's t. What is of
    one colour, as the head of an arrow is, has both in one: a."""
    fill, stroke = (_named(attributes.get(part, "none")) for part in ("fill", "stroke"))
    if name == "text":
        letters = [known for said, known in LETTERS.items() if attributes.get(said.split()[0]) == said.split()[1]]
        return " ".join([*([f"t{fill}"] if fill else []), *letters]) or None
    if fill == stroke:
        return f"a{fill}" if fill else None
    return " ".join(f"{kind}{color}" for kind, color in (("f", fill), ("l", stroke)) if color) or None


def _named(color: str) -> str:
    """A colour as the page's style calls it, "" for none."""
    color = {"black": "#000000", "white": "#ffffff"}.get(color, color)
    return color[1:] if COLOR.fullmatch(color) else ""


def _rounded(number: float) -> str:
    """At most one decimal."""
    return f"{number:.1f}".removesuffix(".0")


def _short(name: str, value: str) -> str:
    """An attribute, its numbers in whole points."""
    if name in ("font-weight", "text-anchor", "font-size", "stroke-dasharray"):
        return value.removesuffix(".00")
    return NUMBER.sub(lambda number: f"{round(float(number[0]))}", value.replace("scale(1 1) rotate(0) ", ""))
