"""Where commands print, and the sentence with which they fail. Nothing here waits for torch, which may be half imported then."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text


class Page(Console):
    """A console whose reader may go away, as head does; the guard then ends the program as a success.

    What names and the contents of files could do to a terminal is taken out of all that is printed.
    """

    def on_broken_pipe(self) -> None:
        """Pass on what rich would turn into exit code 1."""
        raise BrokenPipeError

    def render_str(self, text: str, **how: Any) -> Text:
        """A text, cleaned before it is measured: a column is as wide as what stands in it."""
        return super().render_str(spelt_out(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of a line; those that move the cursor of a progress bar are rich's own, and stay."""
        for segment in super().render(renderable, options):
            harmless = segment.control is not None or spelt_out(segment.text) == segment.text
            yield segment if harmless else Segment(spelt_out(segment.text), segment.style)


def spelt_out(text: str) -> str:
    """`text` in which escapes, and all else that a terminal would obey, are spelt out; ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)


def tell(text: str) -> None:
    """A line on stderr, beside what stdout holds."""
    Page(stderr=True, soft_wrap=True, highlight=False).print(Text(text))


def complain(text: str) -> None:
    """One sentence on stderr, in one line. Where stderr cannot be written either, the exit code must do."""
    from foldnet_cli.words import spoken

    console = Page(stderr=True, soft_wrap=True, highlight=False)
    with suppress(OSError):
        console.print(Text("Error: ", style="bold red") + printable(spoken(text)))


def note(text: str) -> None:
    """One sentence on stderr about something that is no error."""
    Page(stderr=True, soft_wrap=True, highlight=False).print(Text("note: ", style="yellow") + printable(text))


def printable(text: str, style: str = "") -> Text:
    """A line of text as it stands, no markup, and what would move the cursor or colour the terminal written out."""
    return Text(spelt_out(text).replace("\n", "\\n"), style=style)
