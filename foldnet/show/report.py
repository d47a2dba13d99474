"""What a verb returns: a frozen record, as plain data for programs, as tables and pictures in a notebook."""

from __future__ import annotations

import textwrap
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from foldnet.store.codec import to_plain

WIDTH = 80  # columns of a line where there is no terminal


def spelt_out(text: str) -> str:
    """`text` in which escapes, and all else that a terminal would obey, are spelt out; ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)


def shortened(name: str, most: int) -> str:
    """A name of at most so many letters: a longer one loses those in its middle."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[head + 1 - most :]}"


def wrapped(text: str, *, indent: int = 0, width: int = WIDTH) -> str:
    """Text in lines of at most `width` columns; what goes on is indented, and all of it where `indent` says so.

    Words stay whole, since paths are there to be copied: one that fits into no line stands where it stands, and ends
    its line.
    """
    first, further = " " * indent, " " * (indent or 2)
    kept: Any = dict.fromkeys(("break_long_words", "break_on_hyphens", "replace_whitespace", "expand_tabs"), False)
    filler = _Filler(width, initial_indent=first, subsequent_indent=further, **kept)
    return "\n".join(filler.fill(line) if len(first + line) > width else first + line for line in text.split("\n"))


class _Filler(textwrap.TextWrapper):
    """Leaves what is too long for any line in the line where it comes, and a number with its per cent."""

    def _split(self, text: str) -> list[str]:
        chunks: list[str] = []
        for chunk in super()._split(text):
            if chunk.startswith("%") and len(chunks) > 1 and chunks[-1] == " ":
                chunks[-2:] = [f"{chunks[-2]} {chunk}"]
            else:
                chunks.append(chunk)
        return chunks

    def _handle_long_word(self, reversed_chunks: list[str], cur_line: list[str], cur_len: int, width: int) -> None:
        cur_line.append(reversed_chunks.pop())


def counted(count: int, noun: str) -> str:
    """So many things: "1 thread", "2 threads"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float, digits: int = 2) -> str:
    """A share (0..1) as per cent."""
    return f"{100 * share:.{digits}f} %"


def share_of_draws(value: float) -> str:
    """A share of thousands of draws: 0.0362 -> "3.6 %", and never 0."""
    return percent(value, 1) if value >= 0.0005 else "< 0.1 %"


def megabytes(count: int) -> str:
    """Bytes in MB."""
    return f"{count / 1e6:.1f} MB"


def times(shape: tuple[int, ...]) -> str:
    """A shape: (16, 16, 3, 3) -> "16x16x3x3"."""
    return "x".join(map(str, shape))


def gibibytes(count: int | None) -> str:
    """Bytes in GiB."""
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"


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


class Scored(Report):
    """A report with scores in the measure of its `task`, of which is written what the measure is, and which way is
    better."""

    __slots__ = ()
    computed: ClassVar[tuple[str, ...]] = ("measure=task.measure", "better=task.better")
    unwritten: ClassVar[tuple[str, ...]] = ("task",)


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
