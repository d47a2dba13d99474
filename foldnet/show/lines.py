"""Lines of text that fit and are harmless, wherever they are printed."""

import textwrap
from typing import Any

WIDTH = 80  # columns of a line where there is no terminal
UNBROKEN: Any = {"break_long_words": False, "break_on_hyphens": False, "replace_whitespace": False}


def spelt_out(text: str) -> str:
    """`text` in which escapes, and all else that a terminal would obey, are spelt out; ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)


def wrapped(text: str, *, indent: int = 0) -> str:
    """Text in lines of at most 80 columns; what goes on is indented, and all of it where `indent` says so.

    A line with a word that fits into none stays whole: paths are there to be copied.
    """
    first, further = " " * indent, " " * (indent or 2)
    return "\n".join(
        textwrap.fill(line, WIDTH, initial_indent=first, subsequent_indent=further, **UNBROKEN)
        if len(first + line) > WIDTH and max(map(len, line.split())) <= WIDTH - len(further)
        else first + line
        for line in text.split("\n")
    )
