"""What a verb returns: a frozen record, as plain data for programs, as tables and pictures in a notebook."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from foldnet.store.codec import to_plain

STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0.4em 0"
Cell = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Table:
    """A title ("" for none), names of columns, and rows of as many cells, each with a tone where `tones` has any.

    Without columns it is a list of names and, beside them, values. Rows of one first cell are a group where `grouped`
    says so.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | None, ...], ...]
    tones: tuple[str, ...] = ()
    grouped: bool = False

    def to_html(self) -> str:
        """The table in HTML; numbers stand to the right, and what is not known is a dash."""
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        caption = f"<caption style='text-align:left'>{escape(self.title.strip())}</caption>" if self.title else ""
        return f'<table style="{STYLE}">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


@dataclass(frozen=True, slots=True)
class Text:
    """What people read as it is written, such as a program; in a tone: "" (plain), "dim" (by the way), "note" or
    "alarm"."""

    text: str
    tone: str = ""

    def to_html(self) -> str:
        """The text in HTML, its lines as they are."""
        return f"<pre>{escape(self.text.strip())}</pre>"


class Report:
    """A frozen dataclass that shows itself where Jupyter asks it to. What it says in both ways is one and the same."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data, which json.dumps takes as it is."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def to_dict(self) -> dict[str, Any]:
        """The same as `to_json`."""
        return self.to_json()

    def parts(self) -> Iterable[Table | Text]:
        """What people read, on a terminal or a page: by default a row for each entry that is a word or a number."""
        plain = self.to_json().items()
        rows = tuple((name.replace("_", " "), value) for name, value in plain if isinstance(value, Cell | None))
        return (Table("", ("", type(self).__name__), rows),)

    def tables(self) -> tuple[Table, ...]:
        """The tables among them."""
        return tuple(part for part in self.parts() if isinstance(part, Table))

    def texts(self) -> tuple[str, ...]:
        """The texts among them."""
        return tuple(part.text for part in self.parts() if isinstance(part, Text))

    def pictures(self) -> tuple[bytes, ...]:
        """What people look at: whole SVG files."""
        return ()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        # As images, not inline: the names inside one SVG would be those of the next one in the page.
        images = (f'<img src="data:image/svg+xml;base64,{b64encode(svg).decode()}">' for svg in self.pictures())
        return "\n".join((*(part.to_html() for part in self.parts()), *images))


def shown(value: Cell | None) -> str:
    """A cell in words: thousands are set apart, and what is not known is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value


def _cell(value: Cell | None) -> str:
    """One cell in HTML."""
    side = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
    return f"<td style='text-align:{side}'>{escape(shown(value))}</td>"
