"""The endings of the files that pictures are written to; each names a format."""

from pathlib import Path

from foldnet.errors import SettingError

FIGURE_ENDINGS = (".png", ".svg", ".pdf")
LSM_ENDINGS = (*FIGURE_ENDINGS, ".csv", ".json", ".npy", ".npz")
HISTORY_ENDINGS = (*FIGURE_ENDINGS, ".npy", ".npz")
DRAWN = (".svg", ".png", ".pdf")  # of graphs: these need Graphviz's program dot
SOURCE = (".dot", ".gv")
DATA = (".graphml", ".json")
DOT_ENDINGS = (*DRAWN, *SOURCE)
GRAPH_ENDINGS: tuple[str, ...] = (*DOT_ENDINGS, *DATA)


def check_ending(path: Path, legal: tuple[str, ...] = FIGURE_ENDINGS) -> str:
    """The path's ending in small letters. Raises SettingError where it is not one of `legal`."""
    ending = path.suffix.lower()
    if ending not in legal:
        said = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise SettingError(f"'{path}' {said}, which names no format; end it in {', '.join(legal[:-1])} or {legal[-1]}")
    return ending


def check_dot_ending(path: Path, legal: tuple[str, ...] = DOT_ENDINGS) -> str:
    """The same, of what Graphviz draws."""
    ending = path.suffix.lower()
    if ending not in legal:
        what = f"ending '{path.suffix}'" if path.suffix else "no ending"
        raise SettingError(f"'{path}' has {what}; give it one of {', '.join(legal)}")
    return ending
