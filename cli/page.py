"""Where commands print, and the sentence with which they fail. Nothing here waits for torch, which may be half imported then."""

from rich.console import Console
from rich.text import Text


class Page(Console):
    """A console whose reader may go away, as head does; the guard then ends the program as a success."""

    def on_broken_pipe(self) -> None:
        """Pass on what rich would turn into exit code 1."""
        raise BrokenPipeError


def tell(text: str) -> None:
    """A line on stderr, beside what stdout holds."""
    Page(stderr=True, soft_wrap=True, highlight=False).print(Text(text))


def complain(text: str) -> None:
    """One sentence on stderr, in one line: what a file's contents or its name could do to the terminal is taken out."""
    from foldnet_cli.words import spoken

    console = Page(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("Error: ", style="bold red") + printable(spoken(text)))


def note(text: str) -> None:
    """One sentence on stderr about something that is no error."""
    Page(stderr=True, soft_wrap=True, highlight=False).print(Text("note: ", style="yellow") + printable(text))


def printable(text: str, style: str = "") -> Text:
    """A line of text as it stands, no markup, and what would move the cursor or colour the terminal written out."""
    return Text("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text), style=style)
