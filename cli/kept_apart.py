"""What keeps blocks from being one body, for `foldnet fold`."""

from collections.abc import Sequence

from rich.console import Console

from foldnet.folding.structures import KeptApart


def show_kept_apart(found: Sequence[KeptApart], console: Console) -> None:
    """One line for each attribute of each sequence: the first two blocks that it keeps apart, and how many more."""
    together: dict[tuple[str, str], list[KeptApart]] = {}
    for entry in found:
        together.setdefault((entry.sequence, entry.attribute), []).append(entry)
    for (_, attribute), entries in together.items():
        first = entries[0]
        more = f", and {len(entries) - 1} more" if len(entries) > 1 else ""
        console.print(
            f"kept apart by '{attribute}': {' and '.join(first.blocks)} ({first.reason}){more}",
            style="dim",
            markup=False,
        )
