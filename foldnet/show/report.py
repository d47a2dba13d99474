"""What a verb returns: a frozen record, as plain data for programs, as tables and pictures in a notebook."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from html import escape
from typing import Any

from foldnet.store.codec import to_plain

STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0.4em 0"
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Table:
    """A title ("" for none), names of columns, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_html(self) -> str:
        """The table in HTML; numbers stand to the right, and what is not known is a dash."""
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        caption = f"<caption style='text-align:left'>{escape(self.title)}</caption>" if self.title else ""
        return f'<table style="{STYLE}">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


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

    def tables(self) -> tuple[Table, ...]:
        """What people read: by default a row for each entry that is a word or a number."""
        entries = (
            (name, value) for name, value in self.to_json().items() if isinstance(value, str | int | float | None)
        )
        return (
            Table("", ("", type(self).__name__), tuple((name.replace("_", " "), value) for name, value in entries)),
        )

    def texts(self) -> tuple[str, ...]:
        """What people read as it is written, such as a program."""
        return ()

    def pictures(self) -> tuple[bytes, ...]:
        """What people look at: whole SVG files."""
        return ()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        # As images, not inline: the names inside one SVG would be those of the next one in the page.
        images = (f'<img src="data:image/svg+xml;base64,{b64encode(svg).decode()}">' for svg in self.pictures())
        texts = (f"<pre>{escape(text)}</pre>" for text in self.texts())
        return "\n".join((*(table.to_html() for table in self.tables()), *texts, *images))


def percent(share: float | None, digits: int = 2) -> str | None:
    """A share (0..1) as per cent."""
    return None if share is None else f"{100 * share:.{digits}f} %"


def _cell(value: Cell) -> str:
    """One cell in HTML."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        said = (
            "–" if value is None else {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        )
        return f"<td style='text-align:left'>{escape(str(said))}</td>"
    said = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return f"<td style='text-align:right'>{said}</td>"
