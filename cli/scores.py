"""How scores and pairs of names and values look."""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from foldnet.show.lines import wrapped


class Pairs:
    """Names and, beside them, values that go on below themselves; a word as long as a path is never broken."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def add_row(self, name: str, value: str) -> None:
        """One more pair."""
        self.rows.append((name, value))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A line a pair, or several."""
        width = max(len(name) for name, _ in self.rows) + 2
        for name, value in self.rows:
            yield Text(f"{name:<{width}}", style="dim", end="")
            yield Text(wrapped(value, indent=width).lstrip())


def pairs() -> Pairs:
    """An empty list of names and values."""
    return Pairs()


def counted(value: float, images: int, measure: str = "accuracy", right: int | None = None) -> str:
    """A score with the count behind it: of an accuracy what is right, of another measure what is `right` as a whole."""
    if measure == "accuracy":
        return f"{scored(value, measure)} ({round(value * images)} of {images})"
    whole = f"{right} of {images} wholly right" if right is not None else f"of {images}"
    return f"{scored(value, measure)} ({whole})"


def scored(value: float, measure: str) -> str:
    """A score: an accuracy in per cent, another measure by its name."""
    return f"{100 * value:.2f} %" if measure == "accuracy" else f"{measure} {value:.4f}"
