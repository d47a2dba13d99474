"""What the figures have in common: their settings, frame, title, axes, legend and file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.drawing.colors import GRID_LINE
from foldnet.drawing.output import check_ending
from foldnet.errors import SettingError
from foldnet.store.files import write_whole

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_figure(figure: Figure, path: Path) -> None:
    """Write the figure as .png, .svg or .pdf, whole or not at all; what is there is replaced.

    Raises SettingError for another ending, OutputError where the place cannot be written.
    """
    write_whole(path, figure_bytes(figure, check_ending(path)))


def figure_bytes(figure: Figure, ending: str) -> bytes:
    """The figure as a .png, .svg or .pdf file, always the same bytes. Text in an .svg stays text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Dates would make every file differ; None leaves a field out.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[ending]
    buffer = BytesIO()
    with styled():
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format=ending[1:], dpi=200, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def styled() -> Iterator[None]:
    """The drawing's own settings, whatever the user's matplotlibrc says; put back afterwards."""
    import matplotlib

    black = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    white = ("savefig.facecolor", "figure.facecolor")
    settings: dict[Any, Any] = dict.fromkeys(black, "black") | dict.fromkeys(white, "white")
    settings |= {
        "font.family": ["sans-serif"],
        # DejaVu comes with matplotlib; a reader of an .svg without it falls back to the next.
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
        "text.usetex": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "foldnet",
        "pdf.fonttype": 42,
        "axes.linewidth": 0.6,
        "savefig.bbox": None,
    }
    with matplotlib.rc_context(settings):
        yield


def check_some(things: Sized, sentence: str) -> None:
    """Raise SettingError with that sentence where there is nothing to draw."""
    if not things:
        raise SettingError(sentence)


def title_inches(title: str) -> float:
    """Room for a title."""
    return 0.1 * len(title)


def new_figure(size: tuple[float, float], title: str, keys: Sequence[Artist] = ()) -> Figure:
    """A figure of (width, height) inches with its title at the top and a legend at the bottom, as many entries a row as
    there is room for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    if title:
        figure.text(0.5, 1 - 0.12 / size[1], title, ha="center", va="top", fontsize=10)
    if keys:
        room: dict[str, Any] = {"handlelength": 1.8, "columnspacing": 1.3, "handletextpad": 0.5, "borderpad": 0.3}
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.0)}
        columns = _legend_columns(keys, size[0])
        figure.legend(handles=keys, ncols=columns, frameon=False, fontsize=7, **place, **room)
    return figure


def panels(
    rows: int, columns: int, size: tuple[float, float], title: str, keys: Sequence[Artist], top: float = 0.0
) -> tuple[Figure, Any]:
    """A figure and its axes, (rows, columns), with a title above them and a legend below.

    `size` is that of all axes with the words beside them, in inches; a long title makes the figure wider. `top` is room
    for names of axes.
    """
    width = max(size[0], title_inches(title))
    below, above = 0.5 + legend_inches(keys, width), top + (0.42 if title else 0.1)
    height = size[1] + below + above
    figure = new_figure((width, height), title, keys)
    axes = figure.subplots(rows, columns, squeeze=False, sharex="col")
    sides = {"left": 0.62 / width, "right": 1 - 0.12 / width, "bottom": below / height, "top": 1 - above / height}
    figure.subplots_adjust(**sides, wspace=0.22, hspace=0.12)
    return figure, axes


def place_axes(figure: Figure, left: float, top: float, side: float, *, ticks: bool = False) -> Axes:
    """Square axes, their place and size in inches from the figure's top left."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, 1 - (top + side) / height, side / width, side / height))
    if not ticks:
        axes.set(xticks=[], yticks=[])
    return axes


def dress_axes(axes: Axes, x_label: str, y_label: str, *, whole: bool = False) -> None:
    """Labels, a faint grid, no frame above and to the right, and `whole` numbers along x."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(x_label, fontsize=8)
    axes.set_ylabel(y_label, fontsize=8)
    axes.tick_params(labelsize=7, length=2.5, width=0.6, direction="out")
    axes.grid(visible=True, color=GRID_LINE, linewidth=0.6, linestyle="-")
    axes.set_axisbelow(True)
    axes.set_facecolor("white")
    axes.spines[["top", "right"]].set_visible(False)
    # Not 1.2e6 in the corner: readers overlook it.
    axes.ticklabel_format(useOffset=False, style="plain")
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        low, high = axes.get_xlim()
        if high - low < 1:
            # The locator puts fractions into so short an axis, which one single number makes.
            middle = round((low + high) / 2)
            axes.set_xlim(middle - 1, middle + 1)


def line_key(label: str, **style: Any) -> Artist:
    """What a legend says of a line, or where `style` has a marker and no line, of markers."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **{"linewidth": 1.2, "linestyle": "-", "marker": "", **style})


def patch_key(label: str, **style: Any) -> Artist:
    """What a legend says of areas."""
    from matplotlib.patches import Patch

    return Patch(label=label, **style)


def legend_inches(keys: Sequence[Artist], width: float) -> float:
    """Room for a legend below a figure of that width."""
    return 0.06 + 0.17 * -(-len(keys) // _legend_columns(keys, width))


def _legend_columns(keys: Sequence[Artist], width: float) -> int:
    """How many entries of a legend fit into a row."""
    longest = max(len(str(key.get_label())) for key in keys)
    return min(max(1, int(width / (0.55 + 0.062 * longest))), len(keys))
