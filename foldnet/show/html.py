"""HTML and SVG out of pieces that are escaped once, where they are put in: no text of a file can become markup."""

import re
from collections.abc import Iterable, Iterator
from html import escape

from foldnet.show.report import Cell, Table, Text, shown

NAME = re.compile(r"[a-zA-Z][\w-]*")
EMPTY = {"meta", "link", "input", "br"}
SHAPES = {"path", "line", "rect", "circle", "polygon", "polyline", "ellipse", "use"}  # of SVG, which have an end

MOST_COLUMNS = 5  # of a table that a narrow screen shows as it is
MOST_WHOLE = 10  # columns of a table in which words stay whole on paper
SHORT = 10  # letters of such a word


class Markup(str):
    """What is HTML already. Only this module makes it, and whoever vouches for every letter of it."""

    __slots__ = ()


Content = str | Markup | Iterable["Content"] | None
Attribute = str | int | float | bool | None


def element(name: str, *content: Content, **attributes: Attribute) -> Markup:
    """`<name attributes>content</name>`: texts are escaped, Markup stays, None is left out.

    An underscore in an attribute's name is a hyphen, at its end nothing (class_); True is an attribute without a value,
    None and False none at all. Raises ValueError for names that are none, and for attributes that run code or carry
    style: the page's policy refuses both.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of an element")
    given = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in EMPTY:
        return Markup(f"<{name}{given}>")
    inside = joined(*content)
    return Markup(f"<{name}{given}>{inside}</{name}>" if inside or name not in SHAPES else f"<{name}{given}/>")


def joined(*content: Content) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(_written(piece) for piece in content))


def _written(piece: Content) -> str:
    """One piece as HTML."""
    if piece is None:
        return ""
    if isinstance(piece, str):
        return piece if isinstance(piece, Markup) else escape(legal(piece))
    return joined(*piece)


def _attribute(name: str, value: Attribute) -> str:
    """One attribute, with a blank before it."""
    name = name.removesuffix("_").replace("_", "-")
    if not NAME.fullmatch(name) or name.lower().startswith("on") or name == "style":
        raise ValueError(f"'{name}' is no attribute that a page may have")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(legal(str(value)))}"'


def legal(text: str) -> str:
    """The text; control characters and lone surrogates, which no page may hold, and what turns the letters behind it
    around, so that a command would be another one than is read, are replaced by a mark."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


def part_of_page(part: Table | Text) -> Markup:
    """What a report says, as a page shows it."""
    return table_of(part) if isinstance(part, Table) else text_of(part)


def text_of(text: Text) -> Markup:
    """A text, its lines as they are."""
    return element("pre", text.text.strip("\n"), class_=f"text {text.tone}".strip())


def table_of(table: Table) -> Markup:
    """A table. On a narrow screen the page's script makes lists of the rows of a wide one, and says then what column
    every cell is of: written here, that would be half of a long table."""
    if not table.rows and table.columns:
        return Markup()
    caption = element("caption", table.title.strip()) if table.title.strip() else None
    head = None
    if any(table.columns):
        head = element("thead", element("tr", (element("th", name, scope="col") for name in table.columns)))
    body = element("tbody", map(_row, table.rows))
    kinds = ["wide"] if len(table.columns) > MOST_COLUMNS else []
    kinds += _whole(table) if len(table.columns) <= MOST_WHOLE else []
    return element("table", caption, head, body, class_=" ".join(kinds) or None)


def _whole(table: Table) -> Iterator[str]:
    """The columns of short words, by which names in the first one go on in a next line instead of them."""
    for number in range(1, len(table.columns)):
        cells = (table.columns[number], *(shown(row[number]) for row in table.rows))
        if all(len(word) <= SHORT for cell in cells for word in cell.split()):
            yield f"whole{number + 1}"


def _row(row: tuple[Cell | None, ...]) -> Markup:
    """One row: the first cell names it."""
    first, *rest = row
    cells = [element("th", shown(first), scope="row")]
    for value in rest:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        cells.append(element("td", shown(value), class_="number" if number else None))
    return element("tr", cells)
