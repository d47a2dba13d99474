"""Layer similarity matrices as training went on, as in Figure 8 of the paper: a row a group, a column an epoch.

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.figures import draw_title, own_settings, title_inches
from foldnet.drawing.heatmaps import draw_matrix, refuse_nothing
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTORY_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class GroupHistory:
    """One row of panels: the matrices of one group, one an epoch, (epochs + 1, L, L), the first one before training."""

    name: str
    layers: tuple[str, ...]
    matrices: NDArray[np.float64]


def history_figure(groups: Sequence[GroupHistory], epochs: Sequence[int] | None = None, title: str = "") -> Figure:
    """The groups' matrices as training went on: a row for each group, a column for each of `epochs`.

    Without `epochs`, at most eight from 0 to the last, evenly spread. Raises SettingError where there is no
    group or an epoch was not recorded.
    """
    from matplotlib.figure import Figure

    refuse_nothing(groups)
    histories = [np.asarray(group.matrices, dtype=np.float64) for group in groups]
    last = min(len(history) for history in histories) - 1
    chosen = chosen_epochs(last) if epochs is None else tuple(epochs)
    for epoch in chosen:
        if not 0 <= epoch <= last:
            raise SettingError(f"epoch {epoch} was not recorded; give epochs from 0 to {last}")
    with own_settings():
        side, gap, left = 1.15, 0.08, 0.32
        top = (0.42 if title else 0.08) + 0.24
        needed = left + len(chosen) * (side + gap)
        width = max(needed, title_inches(title))
        left += (width - needed) / 2
        height = top + len(groups) * (side + gap)
        figure = Figure(figsize=(width, height))
        for row, (group, history) in enumerate(zip(groups, histories, strict=True)):
            for column, epoch in enumerate(chosen):
                x, y = left + column * (side + gap), top + row * (side + gap) + side
                axes = figure.add_axes((x / width, 1 - y / height, side / width, side / height))
                draw_matrix(axes, history[epoch])
                axes.set_xticks([])
                axes.set_yticks([])
                if row == 0:
                    axes.set_title(f"epoch {epoch}" if column == 0 else str(epoch), fontsize=8, pad=3)
                if column == 0:
                    axes.set_ylabel(group.name, fontsize=8)
        draw_title(figure, title)
    return figure


def chosen_epochs(last: int, columns: int = HISTORY_COLUMNS) -> tuple[int, ...]:
    """At most `columns` epochs from 0 to `last`, both included, evenly spread."""
    return tuple(sorted({round(last * i / max(columns - 1, 1)) for i in range(columns)} | {0, last}))[: last + 1]
