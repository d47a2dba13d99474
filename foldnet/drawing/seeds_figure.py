"""The similarity matrices of seeds side by side, and what they have in common (the paper's Figure 7).

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foldnet.analysis.chance import beyond_chance
from foldnet.analysis.seeds import SeedGroup
from foldnet.drawing.colors import INK, MARK
from foldnet.drawing.figures import check_some, legend_inches, new_figure, patch_key, place_axes, styled, title_inches
from foldnet.drawing.heatmaps import NO_GROUP, draw_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SEEDS = 7  # that are drawn; what they have in common is of all
SIDE, PITCH, LABELS, CAPTION = 1.15, 1.23, 0.32, 0.4  # inches

Share = tuple[NDArray[np.float64], str]


@styled()
def seeds_figure(groups: Sequence[SeedGroup], shares: Sequence[Share], seeds: Sequence[int], title: str = "") -> Figure:
    """A row for each group, a column for each seed, pairs beyond chance framed; at the right, for each pair, the share
    of all seeds in which it is beyond chance (black 0, white 1).

    `shares` are those (L, L) matrices with what is said below each. Raises SettingError where there is no group.
    """
    check_some(groups, NO_GROUP)
    drawn, pitch = seeds[:MOST_SEEDS], PITCH + CAPTION
    top, inner = (0.42 if title else 0.08) + 0.24, LABELS + (min(len(seeds), MOST_SEEDS) + 1) * PITCH + 0.3
    keys = [
        patch_key("0 (similarity, or share of seeds)", facecolor="black", edgecolor="black", linewidth=0.6),
        patch_key("1", facecolor="white", edgecolor="black", linewidth=0.6),
        patch_key("beyond chance", facecolor="none", edgecolor=MARK, linewidth=0.9),
    ]
    width = max(inner, title_inches(title))
    figure = new_figure((width, top + len(groups) * pitch + 0.1 + legend_inches(keys, width)), title, keys)
    left = (width - inner) / 2 + LABELS
    for row, group in enumerate(groups):
        for column, matrix in enumerate(group.matrices[: len(drawn)]):
            axes = place_axes(figure, left + column * PITCH, top + row * pitch, SIDE)
            draw_matrix(axes, matrix)
            _frame(axes, beyond_chance(matrix, group.chance))
            if row == 0:
                axes.set_title(f"seed {drawn[column]}", fontsize=8, pad=3)
            if column == 0:
                axes.set_ylabel(group.name, fontsize=8)
        axes = place_axes(figure, left + len(drawn) * PITCH + 0.2, top + row * pitch, SIDE)
        share, said = shares[row]
        draw_matrix(axes, share)
        if row == 0:
            axes.set_title(f"share of {len(seeds)} seeds", fontsize=8, pad=3)
        axes.text(0.0, -0.04, said, ha="left", va="top", fontsize=6.5, color=INK, transform=axes.transAxes)
    return figure


def _frame(axes: Axes, marks: NDArray[np.bool_]) -> None:
    """A thin frame inside every marked cell."""
    from matplotlib.patches import Rectangle

    for i, j in np.argwhere(marks):
        axes.add_patch(Rectangle((j - 0.43, i - 0.43), 0.86, 0.86, fill=False, edgecolor=MARK, linewidth=0.7))
