"""Lines of text that fit and are harmless, wherever they are printed."""

import textwrap

WIDTH = 80  # columns of a line where there is no terminal


def spelt_out(text: str) -> str:
    """`text` in which escapes, and all else that a terminal would obey, are spelt out; ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)


def wrapped(text: str, *, indent: int = 0, width: int = WIDTH) -> str:
    """Text in lines of at most `width` columns; what goes on is indented, and all of it where `indent` says so.

    Words stay whole, since paths are there to be copied: one that fits into no line stands where it stands, and ends
    its line.
    """
    first, further = " " * indent, " " * (indent or 2)
    filler = _Filler(
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        expand_tabs=False,
    )
    return "\n".join(filler.fill(line) if len(first + line) > width else first + line for line in text.split("\n"))


class _Filler(textwrap.TextWrapper):
    """Leaves what is too long for any line in the line where it comes."""

    def _handle_long_word(self, reversed_chunks: list[str], cur_line: list[str], cur_len: int, width: int) -> None:
        cur_line.append(reversed_chunks.pop())
